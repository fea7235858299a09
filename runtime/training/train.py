"""Training from where it was left to its end, for both trainers."""

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
from runtime.training.checkpoint_callback import Keeper
from runtime.training.metrics_callback import PrinterCallback, Watch

if TYPE_CHECKING:
    from runtime.process.context import Context


def train(ctx: Context, trainer: Any, watch: Watch) -> None:
    """Raises `Stopped` after saving, if somebody asked for it."""
    found = _agreed(ctx)
    trainer.remove_callback(PrinterCallback)  # `Watch` tells
    trainer.add_callback(watch.measure)
    if found is not None:
        _bring_back(ctx, found, watch)
    with deferred_stop() as request:
        zero = ctx.stage.placement.spread(ctx.world)
        trainer.keeper = Keeper(ctx, watch, request, trainer.per_generation(), zero)
        trainer.add_callback(trainer.keeper)
        if found is not None and found.manifest.step == found.manifest.total:
            # The trainer's loop would make one step more.
            trainer.state.global_step = trainer.state.max_steps = found.manifest.step
            trainer.restore(str(main_folder(found.folder)))
        else:
            trainer.train(resume_from_checkpoint=str(main_folder(found.folder)) if found else None)
            trainer.keeper.finish()
    ctx.measured = watch.measure.told(trainer)


def _agreed(ctx: Context) -> VerifiedCheckpoint | None:
    """The checkpoint that rank 0 found, here: every rank has what it needs of it brought to its machine."""
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


def _bring_back(ctx: Context, found: VerifiedCheckpoint, watch: Watch) -> None:
    """Metrics and answers up to the checkpoint, as the attempt before wrote them."""
    folder = main_folder(found.folder)
    if ctx.rank == 0:
        for path in folder.glob("*.jsonl"):
            shutil.copyfile(path, ctx.out / path.name)
    rows = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    watch.go_on([{name: value for name, value in row.items() if name != "step"} for row in rows])
