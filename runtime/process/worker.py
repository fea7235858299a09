"""`python -m runtime.process.worker stage.json --attempt ID`: one worker of a stage, alone or one of several under torchrun.

Verifies the inputs, runs the stage, and rank 0 commits what lies in the output folder. Whatever happens, the last act
is `exit-<rank>.json` with a code of `StageExit`: the launcher decides by it.
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

from c2f_spec.errors import C2fError, StageError, StageExit, Unreachable
from c2f_spec.hardware_faults import fault
from c2f_spec.spec.handoff import Record, StageFile
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.open import open_store
from runtime.checkpoints.resume import VerifiedCheckpoint, find_newest
from runtime.console import log_line, visible_rank
from runtime.process.accounting import SAVED
from runtime.process.context import Context
from runtime.process.heartbeat import register_worker
from runtime.process.launch import end_with_parent
from runtime.process.self_report import machine_report, stage_report
from runtime.process.signals import install_handlers
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
"""Kind to module; imported only when it runs, because each pays for other libraries."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime.process.worker")
    parser.add_argument("stage", type=Path)
    parser.add_argument("--attempt", required=True)
    args = parser.parse_args(argv)
    rank, world = visible_rank()
    return run_guarded(lambda: run_stage(args.stage, args.attempt, rank, world), rank)


def run_guarded(act: Callable[[], None], rank: int) -> int:
    """Run `act`; turn how it ended into a code and leave it behind. SIGTERM and SIGINT raise `Stopped` inside it."""
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
    """Leave the group of ranks, if there is one: a thread of it that still runs when Python ends aborts the process, and
    the other nodes' torchrun then waits minutes for this one's.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def run_stage(path: Path, attempt: str, rank: int, world: int) -> None:
    """One attempt at a stage, from its file to its record."""
    started = time.time()
    go_offline()
    stage = read_stage_file(path)
    objects = open_store(stage.store)
    out = Path(stage.scratch) / attempt / "out"
    out.mkdir(parents=True, exist_ok=True)
    found = _find_checkpoint(stage, objects, world) if rank == 0 else None
    module = importlib.import_module(STAGES[stage.kind])
    assert_offline()
    ready = time.time()
    inputs = fetch_inputs(stage, objects)
    context = Context(stage, inputs, out, objects, rank, world, attempt, found)
    summary = module.run(context)
    together = _wait_for_ranks() if world > 1 else None
    if summary is None:
        log_line(f"{stage.name}: the last of the pods that share it commits it")
    elif rank == 0:
        seconds = {"start": round(ready - started, 2), "work": round(time.time() - ready, 2)}
        _commit(
            stage,
            objects,
            out,
            attempt,
            summary,
            {
                "seconds": seconds,
                "started": _utc(started),
                "ran": stage_report(stage),
                **machine_report(objects),
                **_measured(context),
            },
        )
    if together is not None:
        together()


def _wait_for_ranks() -> Callable[[], None]:
    """Wait for all ranks here, and again where the result is called, after the commit.

    A node that ended well before the record stands would be missing, should the first one have to start again. By
    gloo, in a group of its own: storing takes longer than NCCL waits.
    """
    import torch.distributed

    group = torch.distributed.new_group(backend="gloo", timeout=COMMIT_TIMEOUT)
    torch.distributed.barrier(group)
    return lambda: torch.distributed.barrier(group)


def _find_checkpoint(stage: StageFile, objects: ObjectStore, world: int) -> VerifiedCheckpoint | None:
    """The checkpoint that the stage goes on from; the first line of the log tells it, or why there is none."""
    if stage.kind not in SAVED:
        log_line(f"{stage.name}: fresh start because this kind of stage has no checkpoints")
        return None
    zero = stage.placement.spread(world)
    search = find_newest(objects, stage.kind, stage.key, world, zero)
    log_line(f"{stage.name}: {search}")
    return search.checkpoint


def _measured(context: Context) -> dict[str, Any]:
    return {"measured": context.measured} if context.measured else {}


def _commit(
    stage: StageFile,
    objects: ObjectStore,
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
    standing = records.commit(objects, record, out)
    if standing.nonce == record.nonce:
        log_line(f"{stage.name}: committed {len(record.files)} files in {provenance['seconds']['work']} s")
    else:
        log_line(f"{stage.name}: another attempt committed first; its result stands")


def classify_error(error: BaseException) -> tuple[StageExit, str, str]:
    """Code, message and hint of an exception that ended a stage."""
    if isinstance(error, StageError):
        return error.code, error.message, error.hint
    if isinstance(error, KeyboardInterrupt):
        return StageExit.STOPPED, "interrupted", ""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            StageExit.MEMORY,
            f"out of memory: {error}",
            "lower `resources.*.micro_batch`, `media.max_pixels` or `max_new_tokens`",
        )
    if isinstance(error, (Unreachable, ConnectionError, TimeoutError)) or type(error).__name__.startswith(
        "Dist"
    ):
        hint = error.hint if isinstance(error, C2fError) else ""
        return StageExit.TRANSIENT, error.message if isinstance(error, C2fError) else str(error), hint
    if isinstance(error, OSError):
        return (
            StageExit.TRANSIENT,
            f"{error.strerror or error}: {error.filename or ''}".rstrip(": "),
            "is the disk full?",
        )
    if broken := fault([str(error)]):
        return StageExit.TRANSIENT, f"{broken.what}: {error}", "tell who runs the machine"
    return StageExit.BUG, f"{type(error).__name__}: {error}", "the log has the traceback; please report it"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


# Stages run with the hub offline: weights and data come from the store, by digest, and from nowhere else.


VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def go_offline() -> None:
    """Whoever started this process may have forgotten them; libraries read them when they are imported."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))


def assert_offline() -> None:
    """The one library through which the others reach the hub was imported after `go_offline`."""
    hub = sys.modules.get("huggingface_hub.constants")
    assert hub is None or hub.HF_HUB_OFFLINE, (
        "the hub's library was imported before it was told to stay offline"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
