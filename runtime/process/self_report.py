"""What ran a stage: versions, the machine, its GPUs. Recorded, never keyed."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runtime
from c2f_spec.keys import code_digest, content_key, stage_digest
from c2f_spec.store.digest import read_sealed, seal

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore


ROOT = Path(runtime.__file__).resolve().parent.parent


def stage_report(stage: StageFile) -> dict[str, Any]:
    """For a record: the digest of the stage file, where and with which bundle it was to run, and in `code` each file of
    the key whose digest here is another one, with that digest; a file that is not here has none.

    Code that a lock accepted is told, too: only who reads the lock knows that it counts as equal.
    """
    found = {name: _digest(ROOT / name) for name in stage.preimage["code"]}
    other = {name: digest for name, digest in found.items() if digest != stage.preimage["code"][name]}
    placement = stage.placement.model_dump(mode="json")
    return {"stage_file": stage_digest(stage), "placement": placement, "bundle": stage.code, "code": other}


def _digest(path: Path) -> str | None:
    return code_digest(path.read_bytes()) if path.is_file() else None


RECORDED_PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "vllm", "numpy", "av", "decord", "librosa",
    "vaderSentiment",
)  # fmt: skip
"""Named in every record; the digest of all others is beside them."""
GPU_FACTS = ("name", "driver_version", "memory.total", "uuid")


def machine_report(objects: ObjectStore) -> dict[str, Any]:
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
        **gpu_report(),
        **launch_origin(objects),
    }


def gpu_report() -> dict[str, Any]:
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


def launch_origin(objects: ObjectStore) -> dict[str, Any]:
    """Commit and state of the tree that launched this stage, if the launcher wrote one down."""
    digest = os.environ.get("C2F_ORIGIN", "")
    way_out = "apply again: it is written anew once it is removed"
    told = read_sealed(objects, f"provenance/{digest}.json", way_out) if digest else None
    return {"origin": {"digest": digest, **told}} if told else {}
