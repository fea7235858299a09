"""What has to be in place before transformers is imported; importing this module puts it there.

PyPI's torchvision is built against CUDA: beside a CPU build of torch its compiled operators do not load, and then even
unrelated imports of transformers fail with "operator torchvision::nms does not exist". Declaring the two operators
whose Python side is registered at import cures it. It is done only where they are missing, and nothing here calls them.
"""

from __future__ import annotations

import torch

OPERATORS = ("nms", "qnms")


def declare_missing_operators() -> torch.library.Library | None:
    """The library that declares them, which must stay alive; `None` where torchvision brings its own."""
    try:
        import torchvision  # type: ignore[import-untyped]  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    return library


LIBRARY = declare_missing_operators()

# After the operators, because it imports transformers. Its bars on stderr would interleave with the stage's log.
from transformers.utils.logging import disable_progress_bar  # noqa: E402

disable_progress_bar()
