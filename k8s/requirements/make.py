"""`python k8s/requirements/make.py`: resolve what the images install, for the platform of the images, with hashes.

Versions are those of constraints.txt, but for torch: wheels of CUDA 12 are needed, as drivers R535 and R550 run no
CUDA 13, and the newest on PyPI is 2.10. Needs `uv` and a package index; writes the three files beside this one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PLATFORM = ("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_28")
FOR_CUDA_12 = {"torch": "2.10.0", "torchvision": "0.25.0"}
BESIDE_TORCH = ("deepspeed",)
"""Built from source when torch is there: a file of its own."""
NOTE = (
    "# Written by k8s/requirements/make.py; not edited by hand. Python 3.12, x86-64, glibc 2.28 or newer.\n"
)


def compiled(extras: tuple[str, ...], more: tuple[str, ...] = ()) -> str:
    """Requirements with hashes of our package with `extras`, and of `more`, at the pinned versions."""
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    kept = [pin for pin in pins if pin.partition("==")[0].lower() not in FOR_CUDA_12]
    kept += [f"{name}=={version}" for name, version in FOR_CUDA_12.items()]
    given = HERE / "constraints.part"
    asked = HERE / "asked.in"
    try:
        given.write_text("\n".join(kept) + "\n")
        asked.write_text("\n".join((f"{ROOT}[{','.join(extras)}]", *more)) + "\n")
        tool = Path(sys.executable).with_name("uv")
        command = [
            str(tool) if tool.exists() else "uv",
            "pip",
            "compile",
            str(asked),
            "-c",
            str(given),
            *PLATFORM,
        ]
        command += [
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
            "--no-emit-package",
            "c2f-spec",
            "--quiet",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        given.unlink()
        asked.unlink()


def parted(text: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The requirements that are not `names`, and those that are."""
    blocks = re.findall(r"^\S.*?(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    own = [b for b in blocks if re.split(r"[=\[ ]", b, maxsplit=1)[0] in names]
    return "".join(b for b in blocks if b not in own), "".join(own)


def main() -> None:
    runtime, beside = parted(compiled(("runtime", "s3", "deepspeed")), BESIDE_TORCH)
    files = {
        "runtime.txt": runtime,
        "deepspeed.txt": beside,
        "driver.txt": compiled(("k8s", "s3"), ("mlflow-skinny",)),
    }
    for name, text in files.items():
        (HERE / name).write_text(NOTE + text)
        print(f"{HERE / name}: {text.count('==')} packages")


if __name__ == "__main__":
    main()
