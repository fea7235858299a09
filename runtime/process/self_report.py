"""The runtime's report of itself for a record: code, versions, the machine, its GPUs. It is in no key.

Rank 0 of the workers collects it when it commits; `c2f_spec/plan/verify.py` compares it with what was planned.
"""

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
    """Return the digest of the stage file, placement and code bundle, and in `code` each file of the key that differs.

    A file that differs has its digest on this machine, or `None` if it is missing. Code that a lock file accepts as equal
    is listed too, because only a reader of the lock file knows that.
    """
    digests = {name: _digest(ROOT / name) for name in stage.preimage["code"]}
    differing = {name: digest for name, digest in digests.items() if digest != stage.preimage["code"][name]}
    placement = stage.placement.model_dump(mode="json")
    return {
        "stage_file": stage_digest(stage),
        "placement": placement,
        "bundle": stage.code,
        "code": differing,
    }


def _digest(path: Path) -> str | None:
    return code_digest(path.read_bytes()) if path.is_file() else None


RECORDED_PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "vllm", "numpy", "av", "decord", "librosa",
    "vaderSentiment",
)  # fmt: skip
"""Packages that are named in every record, beside the digest of all."""
GPU_FACTS = ("name", "driver_version", "memory.total", "uuid")


def machine_report(store: ObjectStore) -> dict[str, Any]:
    """Return versions and the machine. Every installed package is in `provenance/<digest>.json`, written once for all stages."""
    packages = dict(sorted((d.metadata["Name"], d.version) for d in distributions() if d.metadata["Name"]))
    digest = content_key(packages)
    store.create(f"provenance/{digest}.json", seal(packages))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "python": platform.python_version(),
        "packages": {name: packages[name] for name in RECORDED_PACKAGES if name in packages},
        "all_packages": digest,
        "host": platform.node(),
        "platform": platform.platform(),
        "peak_mb": peak,
        **gpu_report(),
        **launch_origin(store),
    }


def gpu_report() -> dict[str, Any]:
    """Return the GPUs as their driver names them, and CUDA and NCCL of torch if it is imported; empty without a GPU."""
    facts: dict[str, Any] = {}
    try:
        command = ["nvidia-smi", f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader,nounits"]
        output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return facts
    rows = [line.split(", ") for line in output.stdout.splitlines()] if output.returncode == 0 else []
    facts["gpus"] = [dict(zip(GPU_FACTS, row, strict=True)) for row in rows if len(row) == len(GPU_FACTS)]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["cuda"] = torch.version.cuda
        facts["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    return facts


def launch_origin(store: ObjectStore) -> dict[str, Any]:
    """Return commit and state of the tree that launched this stage, if the launcher recorded them."""
    digest = os.environ.get("C2F_ORIGIN", "")
    remedy = "remove it and apply again, which writes it anew"
    facts = read_sealed(store, f"provenance/{digest}.json", remedy) if digest else None
    return {"origin": {"digest": digest, **facts}} if facts else {}
