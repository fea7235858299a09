"""Take checkpoints during training, and save before a stop."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch.distributed
from transformers import TrainerCallback

from runtime.checkpoints import trainer_state
from runtime.checkpoints.manifest import Retention
from runtime.checkpoints.saver import RankGroup, Saver, SaveRequest
from runtime.checkpoints.trainer_state import take, take_part

if TYPE_CHECKING:
    from c2f_spec.spec.resources import Zero
    from runtime.checkpoints.saver import Stored
    from runtime.process.context import Context
    from runtime.process.signals import StopRequest
    from runtime.training.metrics_callback import MetricsCallback

EVERY = 50
"""Optimiser steps between two checkpoints, where the spec does not set it."""
FOREVER = 10 * 365 * 24 * 3600.0
"""Seconds. The caller that stops a stage limits the time, not the stage."""
STORED_WITHIN = timedelta(hours=6)
"""Limit of the slowest rank's part; the store has deadlines of its own."""


class CheckpointCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Saves every `checkpoints.every` steps and before a stop, through `runtime.checkpoints.saver`.

    It saves after the step's metrics are logged, on a boundary between generations, and never after the last step, which
    the result follows.
    """

    def __init__(
        self, ctx: Context, watch: MetricsCallback, request: StopRequest, generation_interval: int, zero: Zero
    ) -> None:
        """`generation_interval` is the number of steps between two generations of answers. All ranks create it together."""
        settings = ctx.stage.placement.checkpoints
        self._stopping = False
        self._every, self._apart = settings.every or EVERY, generation_interval
        self._ctx, self._watch, self._request, self._zero = ctx, watch, request, zero
        self._saver: Saver | None = None
        attempt, together = ctx.attempt, None
        if zero != "off":
            attempt, together = _attempt_of_rank_0(ctx.attempt), _rank_group(ctx.rank, ctx.world)
        if ctx.rank == 0 or zero != "off":
            keep = Retention(settings.keep, settings.keep_best, settings.keep_every)
            scratch = ctx.out.parent / "checkpoints" / str(ctx.rank)
            self._saver = Saver(ctx.store, ctx.stage, attempt, scratch, keep, together)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer after each optimiser step."""
        step, stop = state.global_step, self._all_stop(args.device)
        if step % self._apart:
            return
        passed = step // self._every > (step - self._apart) // self._every
        control.should_save = stop or (passed and step < state.max_steps)
        control.should_training_stop |= stop
        if stop:  # a signal of one rank stops all
            self._stopping = self._request.requested = True

    def save(self, trainer: Any) -> None:
        """Take a snapshot and go on; called by all ranks.

        Rank 0 saves for all, but for random states and the parts that ZeRO leaves to each rank.
        """
        if self._zero != "off" and not self._all_ready(trainer.args.device):
            return
        states: list[Any] = [None] * self._ctx.world
        own = trainer_state.capture_rng()
        if self._ctx.world == 1:
            states = [own]
        else:
            torch.distributed.gather_object(own, states if self._ctx.rank == 0 else None)
        score = self._watch.score_since_save()
        if self._saver is None:
            return
        main = self._ctx.rank == 0
        self._saver.offer(
            SaveRequest(
                snapshot=take(trainer, states, trainer.counters()) if main else take_part(trainer),
                total=trainer.state.max_steps,
                world=self._ctx.world,
                zero=self._zero,
                score=score,
                logs={p: p.stat().st_size for p in sorted(self._ctx.out.glob("*.jsonl"))} if main else {},
            )
        )

    def finish(self) -> None:
        """End after training. If a stop was requested, all ranks wait until the last checkpoint is stored or has failed."""
        if not self._stopping:
            if self._saver is not None:
                self._saver.drop_waiting()
            return
        if self._saver is not None:
            self._saver.wait(FOREVER)
        if self._saver is not None and self._ctx.rank == 0:
            self._request.message = (
                f"stopped by a signal; the store has the checkpoint of step {self._saver.step}"
            )
        if self._ctx.world > 1:
            torch.distributed.barrier()

    def _all_stop(self, device: Any) -> bool:
        """Return whether any rank got a stop: signals arrive at different moments, and all must stop at the same step."""
        return self._request.requested if self._ctx.world == 1 else _any(self._request.requested, device)

    def _all_ready(self, device: Any) -> bool:
        """Return whether every rank can store a part now.

        A checkpoint needs the parts of all ranks, so none begins while another is being stored. The last before a stop
        waits.
        """
        assert self._saver is not None
        if self._stopping:
            self._saver.wait(FOREVER)
        return not _any(not self._saver.idle(), device)


def _any(own: bool, device: Any) -> bool:
    any_rank = torch.tensor(int(own), device=device)
    torch.distributed.all_reduce(any_rank, torch.distributed.ReduceOp.MAX)
    return bool(any_rank)


def _attempt_of_rank_0(attempt: str) -> str:
    """Return rank 0's name of this attempt; each node has its own."""
    name = [attempt]
    torch.distributed.broadcast_object_list(name)
    return name[0]


def _rank_group(rank: int, world: int) -> RankGroup:
    """Return a process group for the savers' threads, because training runs collective operations at the same time."""
    group = torch.distributed.new_group(backend="gloo", timeout=STORED_WITHIN)

    def gather(stored: Stored) -> list[Stored]:
        parts: list[Any] = [None] * world
        torch.distributed.gather_object(stored, parts if rank == 0 else None, group=group)
        return parts if rank == 0 else []

    return RankGroup(rank, gather)
