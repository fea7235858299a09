"""`python -m tests.support.served …`: the program `transformers`, where torch is a CPU build.

Such a build lacks two operators that the server's imports look for, and torchvision's decoder of pictures, which stands
in PIL's place; nothing else of the server is touched.
"""

import sys
from io import BytesIO

import runtime.models.patches  # noqa: F401  # isort: skip  before transformers looks for torchvision
import torchvision.io
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor
from transformers.cli.transformers import main


def decode_image(data, mode=None, apply_exif_orientation=False):
    return pil_to_tensor(Image.open(BytesIO(bytes(data.tolist()))).convert("RGB"))


if __name__ == "__main__":
    torchvision.io.decode_image = decode_image
    sys.argv[0] = "transformers"
    main()
