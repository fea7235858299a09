"""What ran a stage: versions, the machine, its GPUs. Recorded, never keyed."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import content_key
from c2f_spec.store.sealed import read_sealed, seal

if TYPE_CHECKING:
    from c2f_spec.store.objects import Objects

RECORDED_PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "vllm", "numpy", "av", "decord", "librosa",
    "vaderSentiment",
)  # fmt: skip
"""Named in every record; the digest of all others is beside them."""
GPU_FACTS = ("name", "driver_version", "memory.total", "uuid")


def machine(objects: Objects) -> dict[str, Any]:
    """Facts for a record. Every installed package is in `provenance/<digest>.json`, written once for all stages."""
    packages = dict(sorted((d.metadata["Name"], d.version) for d in distributions() if d.metadata["Name"]))
    digest = content_key(packages)
    objects.create(f"provenance/{digest}.json", seal(packages))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "python": platform.python_version(),
        "packages": {name: packages[name] for name in RECORDED_PACKAGES if name in packages},
        "all_packages": digest,
        "host": platform.node(),
        "platform": platform.platform(),
        "peak_mb": peak,
        **accelerators(),
        **origin(objects),
    }


def accelerators() -> dict[str, Any]:
    """GPUs as their driver names them, and what torch, if it is in use, was built for; nothing without a GPU."""
    found: dict[str, Any] = {}
    try:
        asked = ["nvidia-smi", f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader,nounits"]
        shown = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return found
    rows = [line.split(", ") for line in shown.stdout.splitlines()] if shown.returncode == 0 else []
    found["gpus"] = [dict(zip(GPU_FACTS, row, strict=True)) for row in rows if len(row) == len(GPU_FACTS)]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["cuda"] = torch.version.cuda
        found["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    return found


def origin(objects: Objects) -> dict[str, Any]:
    """Commit and state of the tree that launched this stage, if the launcher wrote one down."""
    digest = os.environ.get("C2F_ORIGIN", "")
    way_out = "apply again: it is written anew once it is removed"
    told = read_sealed(objects, f"provenance/{digest}.json", way_out) if digest else None
    return {"origin": {"digest": digest, **told}} if told else {}
