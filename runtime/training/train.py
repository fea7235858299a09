"""Train from the last checkpoint to the end, for both trainers."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import torch.distributed

from c2f_spec.store.cache import fetch_verified
from runtime.checkpoints.resume import VerifiedCheckpoint
from runtime.checkpoints.zero_partitions import main_folder, needed_by_rank
from runtime.process.context import METRICS
from runtime.process.signals import deferred_stop
from runtime.training.checkpoint_callback import CheckpointCallback
from runtime.training.metrics_callback import MetricsCallback, PrinterCallback

if TYPE_CHECKING:
    from runtime.process.context import Context


def train(ctx: Context, trainer: Any, watch: MetricsCallback) -> None:
    """Train. Raises `Stopped` after saving if a stop is requested."""
    found = _shared_checkpoint(ctx)
    trainer.remove_callback(PrinterCallback)  # `MetricsCallback` logs
    trainer.add_callback(watch.throughput)
    if found is not None:
        _restore_logs(ctx, found, watch)
    with deferred_stop() as request:
        zero = ctx.stage.placement.spread(ctx.world)
        trainer.checkpoint_callback = CheckpointCallback(
            ctx, watch, request, trainer.generation_interval(), zero
        )
        trainer.add_callback(trainer.checkpoint_callback)
        if found is not None and found.manifest.step == found.manifest.total:
            # The trainer's loop would run one step more.
            trainer.state.global_step = trainer.state.max_steps = found.manifest.step
            trainer.restore(str(main_folder(found.folder)))
        else:
            trainer.train(resume_from_checkpoint=str(main_folder(found.folder)) if found else None)
            trainer.checkpoint_callback.finish()
    ctx.measured = watch.throughput.summary(trainer)


def _shared_checkpoint(ctx: Context) -> VerifiedCheckpoint | None:
    """Return rank 0's checkpoint on every rank, with the files that this rank needs on its machine."""
    if ctx.world == 1:
        return ctx.checkpoint
    chosen: list[Any] = [ctx.checkpoint]
    torch.distributed.broadcast_object_list(chosen)
    found: VerifiedCheckpoint | None = chosen[0]
    if found is not None and ctx.rank != 0:
        files = {n: e for n, e in found.manifest.files.items() if needed_by_rank(n, ctx.rank)}
        found = VerifiedCheckpoint(
            found.manifest,
            fetch_verified(ctx.store, found.manifest.folder, files, None, "start the stage again"),
        )
    torch.distributed.barrier()
    return found


def _restore_logs(ctx: Context, found: VerifiedCheckpoint, watch: MetricsCallback) -> None:
    """Restore metrics and answers of the earlier attempt up to the checkpoint."""
    folder = main_folder(found.folder)
    if ctx.rank == 0:
        for path in folder.glob("*.jsonl"):
            shutil.copyfile(path, ctx.out / path.name)
    rows = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    watch.restore([{name: value for name, value in row.items() if name != "step"} for row in rows])
