"""One worker of a stage: `python -m runtime.process.worker stage.json --attempt ID`, alone or under torchrun.

`runtime.process.workers` starts it. It fetches and verifies the inputs, runs the stage, and rank 0 commits the output folder.
However it ends, it writes `exit-<rank>.json` with a code of `StageExit` last, by which process 1 decides.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import traceback
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import StageError, StageExit, Unreachable
from c2f_spec.hardware_faults import find_hardware_fault
from c2f_spec.spec.handoff import Record, StageFile
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.open import open_store
from runtime.checkpoints.manifest import RESUMABLE, VerifiedCheckpoint, find_newest
from runtime.console import log_line, visible_rank
from runtime.process.context import Context
from runtime.process.heartbeat import register_worker
from runtime.process.self_report import machine_report, stage_report
from runtime.process.signals import end_with_parent, install_handlers
from runtime.process.stage_file import fetch_inputs, read_stage_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.store.protocol import ObjectStore


COMMIT_TIMEOUT = timedelta(hours=6)
STAGES = {
    "prepare": "runtime.stages.prepare",
    "distil": "runtime.stages.distil",
    "filter": "runtime.stages.filter",
    "sft": "runtime.stages.sft",
    "grpo": "runtime.stages.grpo",
    "evaluate": "runtime.stages.evaluate",
    "baseline": "runtime.stages.baseline",
}
"""Module by kind of stage; imported only when it runs, because each needs other libraries."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime.process.worker")
    parser.add_argument("stage", type=Path)
    parser.add_argument("--attempt", required=True)
    args = parser.parse_args(argv)
    rank, world = visible_rank()
    return run_guarded(lambda: run_stage(args.stage, args.attempt, rank, world), rank)


def run_guarded(act: Callable[[], None], rank: int) -> int:
    """Run `act`, write how it ended to `exit-<rank>.json`, return the code. SIGTERM and SIGINT raise `Stopped` inside."""
    install_handlers()
    message = hint = ""
    try:
        register_worker(rank)
        end_with_parent()
        act()
        _leave_process_group()
        code = StageExit.DONE
    except BaseException as error:  # noqa: BLE001  every way to end has a code
        code, message, hint = classify_error(error)
        if code is StageExit.BUG:
            traceback.print_exc()
        log_line(f"{code.name.lower()}: {message}" + (f"\n  hint: {hint}" if hint else ""))
    end = {"rank": rank, "code": int(code), "message": message, "hint": hint}
    Path(os.environ["C2F_EXIT_DIR"], f"exit-{rank}.json").write_text(json.dumps(end))
    return code


def _leave_process_group() -> None:
    """Leave the process group, if there is one.

    A thread of it that still runs when Python ends aborts the process, and torchrun of the other nodes then waits minutes.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def run_stage(path: Path, attempt: str, rank: int, world: int) -> None:
    """Run one attempt at a stage, from its file to its record."""
    started = time.time()
    go_offline()
    stage = read_stage_file(path)
    store = open_store(stage.store)
    out = Path(stage.scratch) / attempt / "out"
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = _find_checkpoint(stage, store, world) if rank == 0 else None
    module = importlib.import_module(STAGES[stage.kind])
    assert_offline()
    ready = time.time()
    inputs = fetch_inputs(stage, store)
    context = Context(stage, inputs, out, store, rank, world, attempt, checkpoint)
    summary = module.run(context)
    wait_again = _wait_for_ranks() if world > 1 else None
    if summary is None:
        log_line(f"{stage.name}: the last of the pods that share the stage commits it")
    elif rank == 0:
        seconds = {"start": round(ready - started, 2), "work": round(time.time() - ready, 2)}
        provenance = {
            "seconds": seconds,
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "ran": stage_report(stage),
            **machine_report(store),
        }
        if context.measured:
            provenance["measured"] = context.measured
        _commit(stage, store, out, attempt, summary, provenance)
    if wait_again is not None:
        wait_again()


def _wait_for_ranks() -> Callable[[], None]:
    """Wait for all ranks, and return a function that waits for them again, after the commit.

    A node that ended before the record is written would be missing if node 0 had to start again. Uses a gloo group of its
    own, because storing takes longer than NCCL waits.
    """
    import torch.distributed

    group = torch.distributed.new_group(backend="gloo", timeout=COMMIT_TIMEOUT)
    torch.distributed.barrier(group)
    return lambda: torch.distributed.barrier(group)


def _find_checkpoint(stage: StageFile, store: ObjectStore, world: int) -> VerifiedCheckpoint | None:
    """Return the checkpoint to resume from, and log it, or why there is none, as the first line of the log."""
    if stage.kind not in RESUMABLE:
        log_line(f"{stage.name}: fresh start because this kind of stage has no checkpoints")
        return None
    zero = stage.placement.zero_stage(world)
    search = find_newest(store, stage.kind, stage.key, world, zero)
    log_line(f"{stage.name}: {search}")
    return search.checkpoint


def _commit(
    stage: StageFile,
    store: ObjectStore,
    out: Path,
    attempt: str,
    summary: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    record = Record(
        kind=stage.kind,
        key=stage.key,
        attempt=attempt,
        nonce=uuid.uuid4().hex,
        files=digest_folder(out),
        summary=summary,
        provenance=provenance,
    )
    committed = records.commit(store, record, out)
    if committed.nonce == record.nonce:
        log_line(f"{stage.name}: committed {len(record.files)} files in {provenance['seconds']['work']} s")
    else:
        log_line(f"{stage.name}: another attempt committed first; its result is used")


def classify_error(error: BaseException) -> tuple[StageExit, str, str]:
    """Return code, message and hint of an exception that ended a stage."""
    if isinstance(error, StageError):
        return error.code, error.message, error.hint
    if isinstance(error, KeyboardInterrupt):
        return StageExit.STOPPED, "interrupted", ""
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        hint = "lower `resources.*.micro_batch`, `media.max_pixels` or `max_new_tokens`"
        return StageExit.MEMORY, f"out of memory: {error}", hint
    if isinstance(error, Unreachable):
        return StageExit.TRANSIENT, error.message, error.hint
    if isinstance(error, (ConnectionError, TimeoutError)) or name.startswith("Dist"):
        return StageExit.TRANSIENT, str(error), ""
    if isinstance(error, OSError):
        message = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        return StageExit.TRANSIENT, message, "is the disk full?"
    if broken := find_hardware_fault([str(error)]):
        hint = "report it to the administrator of the machine"
        return StageExit.TRANSIENT, f"{broken.description}: {error}", hint
    return StageExit.BUG, f"{name}: {error}", "the log has the traceback; please report it"


OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def go_offline() -> None:
    """Keep libraries off the hub, before they are imported: weights and data come from the store, by digest, alone."""
    os.environ.update(dict.fromkeys(OFFLINE_VARIABLES, "1"))


def assert_offline() -> None:
    """Check that `huggingface_hub`, through which the others reach the hub, was imported after `go_offline`."""
    hub = sys.modules.get("huggingface_hub.constants")
    assert hub is None or hub.HF_HUB_OFFLINE, "huggingface_hub was imported before `go_offline`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
