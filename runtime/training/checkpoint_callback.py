"""When a checkpoint is taken, and a stop that saves first."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch.distributed
from transformers import TrainerCallback

from runtime.checkpoints import snapshot
from runtime.checkpoints.manifest import Retention
from runtime.checkpoints.saver import RankGroup, Saver, SaveRequest
from runtime.checkpoints.snapshot import take, take_part

if TYPE_CHECKING:
    from c2f_spec.spec.resources import Zero
    from runtime.checkpoints.saver import Stored
    from runtime.process.context import Context
    from runtime.process.signals import StopRequest
    from runtime.training.metrics_callback import Watch

EVERY = 50
"""Optimiser steps between two checkpoints, where the spec does not say."""
FOREVER = 10 * 365 * 24 * 3600.0
"""Seconds. Who stops a stage decides how long it may take, not the stage."""
STORED_WITHIN = timedelta(hours=6)
"""For the slowest rank's part; the store has deadlines of its own."""


class Keeper(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Asks the trainer to save every so many steps, and when somebody asks it to stop; stores what it is given.

    It saves after the step's metrics were logged, on a boundary between generations, and never after the last step:
    what follows then is the result itself.
    """

    def __init__(
        self, ctx: Context, watch: Watch, request: StopRequest, per_generation: int, zero: Zero
    ) -> None:
        """`per_generation` is the number of steps between two generations of answers. Made by all ranks at once."""
        asked = ctx.stage.placement.checkpoints
        self._stopping = False
        self._every, self._apart = asked.every or EVERY, per_generation
        self._ctx, self._watch, self._request, self._zero = ctx, watch, request, zero
        self._saver: Saver | None = None
        attempt, together = ctx.attempt, None
        if zero != "off":
            attempt, together = _shared(ctx.attempt), _together(ctx.rank, ctx.world)
        if ctx.rank == 0 or zero != "off":
            keep = Retention(asked.keep, asked.keep_best, asked.keep_every)
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
        if stop:  # one rank's signal is everybody's
            self._stopping = self._request.requested = True

    def save(self, trainer: Any) -> None:
        """Take a snapshot and go on; called by all ranks. Rank 0 has what the others have, but for random states, and
        for the parts that ZeRO leaves to each.
        """
        if self._zero != "off" and not self._all_ready(trainer.args.device):
            return
        states: list[Any] = [None] * self._ctx.world
        own = snapshot.capture_rng()
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
                snapshot=take(trainer, states, trainer.running()) if main else take_part(trainer),
                total=trainer.state.max_steps,
                world=self._ctx.world,
                zero=self._zero,
                score=score,
                logs={p: p.stat().st_size for p in sorted(self._ctx.out.glob("*.jsonl"))} if main else {},
            )
        )

    def finish(self) -> None:
        """After training. If a stop was asked for, all ranks wait until the last checkpoint is stored, or cannot be."""
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
        """Whether any rank was asked to: they get the signal at different moments and must stop at the same step."""
        return self._request.requested if self._ctx.world == 1 else _any(self._request.requested, device)

    def _all_ready(self, device: Any) -> bool:
        """Whether every rank can store a part now. Parts of one step are whole together, so while any is still under
        way none is begun; the last one before a stop waits for those.
        """
        assert self._saver is not None
        if self._stopping:
            self._saver.wait(FOREVER)
        return not _any(not self._saver.idle(), device)


def _any(here: bool, device: Any) -> bool:
    there = torch.tensor(int(here), device=device)
    torch.distributed.all_reduce(there, torch.distributed.ReduceOp.MAX)
    return bool(there)


def _shared(attempt: str) -> str:
    """The name that rank 0 has for this attempt; each node has one of its own."""
    name = [attempt]
    torch.distributed.broadcast_object_list(name)
    return name[0]


def _together(rank: int, world: int) -> RankGroup:
    """For the savers' threads, in a group of their own: training has collective operations under way meanwhile."""
    group = torch.distributed.new_group(backend="gloo", timeout=STORED_WITHIN)

    def gather(stored: Stored) -> list[Stored]:
        told: list[Any] = [None] * world
        torch.distributed.gather_object(stored, told if rank == 0 else None, group=group)
        return told if rank == 0 else []

    return RankGroup(rank, gather)
