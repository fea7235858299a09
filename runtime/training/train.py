"""Train from the last checkpoint to the end, to the same bits as without an interruption.

`Resumable` replaces the documented methods of transformers' trainer for that: `_save_checkpoint`, `_load_from_checkpoint`,
`_load_optimizer_and_scheduler` and `_load_rng_state` write and read pickles and restore an omni model's weights in part
(`runtime.checkpoints.trainer_state`); `_prepare_for_training` would read DeepSpeed's. The loop around them stays: it skips
data of earlier steps, and restores random states after the batches are drawn. GRPO's trainer is in `grpo_trainer.py`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.distributed
from torch.utils.data import RandomSampler, Sampler
from trl import SFTConfig, SFTTrainer

from c2f_spec.store.cache import fetch_verified
from runtime.checkpoints.manifest import VerifiedCheckpoint
from runtime.checkpoints.trainer_state import read_state, restore_optimizer, restore_rng, restore_weights
from runtime.checkpoints.zero_partitions import is_partitioned, main_folder, needed_by_rank
from runtime.console import log_line
from runtime.process.context import METRICS
from runtime.process.signals import deferred_stop
from runtime.training.checkpoint_callback import CheckpointCallback
from runtime.training.metrics_callback import MetricsCallback, PrinterCallback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.process.context import Context


__all__ = ["OmniSFTTrainer", "Resumable", "SFTConfig", "train"]


class Resumable:
    """A mixin that goes before a trainer of transformers among the bases of a class."""

    checkpoint_callback: CheckpointCallback

    def generation_interval(self) -> int:
        """Return the optimiser steps between two generations of answers; there are no checkpoints in between."""
        return 1

    def counters(self) -> dict[str, Any]:
        """Return counters that are neither in the trainer's state nor in its optimizer, as JSON."""
        return {}

    def restore_counters(self, counters: dict[str, Any]) -> None:
        """Restore what `counters` returned."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        del model, trial
        assert not self.is_fsdp_enabled, "what FSDP leaves to a rank is not saved"  # type: ignore[attr-defined]
        self.checkpoint_callback.save(self)

    def restore(self, folder: str) -> None:
        """Load the weights of a checkpoint of the last step, after which there is no step."""
        if is_partitioned(self):
            total = self.state.max_steps  # type: ignore[attr-defined]
            self._prepare_for_training(total, self.get_train_dataloader(), folder)  # type: ignore[attr-defined]
        else:
            self._load_from_checkpoint(folder)

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> Any:
        """Prepare; under ZeRO without DeepSpeed's own checkpoints, which the trainer would search for."""
        if not is_partitioned(self) or resume_from_checkpoint is None:
            return super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)  # type: ignore[misc]
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)  # type: ignore[misc]
        self._load_from_checkpoint(resume_from_checkpoint)
        self._load_optimizer_and_scheduler(resume_from_checkpoint)
        return prepared

    def _load_from_checkpoint(self, folder: str, model: Any = None) -> None:
        del model
        count = restore_weights(self, Path(folder))
        rest = "all that every rank has; the parts follow" if is_partitioned(self) else "all that are trained"
        log_line(f"restored {count} tensors of the model, {rest}")

    def _load_optimizer_and_scheduler(self, folder: str | None) -> None:
        if folder is not None:
            restore_optimizer(self, Path(folder))
            self.restore_counters(read_state(Path(folder))["running"])

    def _load_scaler(self, folder: str | None) -> None:
        del folder
        assert self.accelerator.scaler is None, "float16 is not trained in, so there is no scale to restore"  # type: ignore[attr-defined]

    def _load_rng_state(self, folder: str | None) -> None:
        if folder is not None:
            restore_rng(read_state(Path(folder))["random"][self.args.process_index])  # type: ignore[attr-defined]

    def _get_train_sampler(self, *arguments: Any) -> Any:
        sampler = super()._get_train_sampler(*arguments)  # type: ignore[misc]
        return ByEpoch(sampler, self.args.seed, lambda: int(self.state.epoch or 0), self.on_epoch_order)  # type: ignore[attr-defined]

    def on_epoch_order(self, order: list[int]) -> None:
        """Receive the numbers of an epoch's examples, in the order of all ranks, when the epoch begins."""


class ByEpoch(Sampler[int]):
    """The order of `sampler`, drawn in each epoch from the seed and the number of the epoch.

    A sampler whose generator runs on over epochs has an order that a process which resumes in epoch 5 cannot know.
    """

    def __init__(
        self, sampler: Any, seed: int, epoch: Callable[[], int], drawn: Callable[[list[int]], None]
    ) -> None:
        self._sampler, self._seed, self._epoch, self._drawn = sampler, seed, epoch, drawn
        self._generator = torch.Generator()
        assert isinstance(sampler, RandomSampler) or hasattr(sampler, "seed"), f"{type(sampler)} is not known"
        sampler.generator = self._generator

    def __iter__(self) -> Iterator[int]:
        self._generator.manual_seed(self._seed + self._epoch())
        order = list(self._sampler)
        self._drawn(order)
        yield from order

    def __len__(self) -> int:
        return len(self._sampler)


class OmniSFTTrainer(Resumable, SFTTrainer):  # type: ignore[misc]  # trl has no type hints
    """SFT that resumes TRL's own counter of tokens."""

    def on_epoch_order(self, order: list[int]) -> None:
        self.data_collator.reader.prefetch(self.train_dataset[i]["id"] for i in order)

    def counters(self) -> dict[str, Any]:
        return {"tokens": self._total_train_tokens}

    def restore_counters(self, counters: dict[str, Any]) -> None:
        self._total_train_tokens = counters["tokens"]


def train(ctx: Context, trainer: Any, watch: MetricsCallback) -> None:
    """Train. Raises `Stopped` after saving if a stop is requested."""
    found = _shared_checkpoint(ctx)
    trainer.remove_callback(PrinterCallback)  # `MetricsCallback` logs
    trainer.add_callback(watch.throughput)
    if found is not None:
        _restore_logs(ctx, found, watch)
    with deferred_stop() as request:
        zero = ctx.stage.placement.zero_stage(ctx.world)
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
