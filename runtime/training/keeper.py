"""When a checkpoint is taken, and a stop that saves first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.distributed
from transformers import TrainerCallback

from runtime.checkpoints import generators
from runtime.checkpoints.retention import Keep
from runtime.checkpoints.saver import Order, Saver
from runtime.checkpoints.snapshot import take

if TYPE_CHECKING:
    from runtime.context import Context
    from runtime.stopping import Request
    from runtime.training.watch import Watch

EVERY = 50
"""Optimiser steps between two checkpoints, where the spec does not say."""
FOREVER = 10 * 365 * 24 * 3600.0
"""Seconds. Who stops a stage decides how long it may take, not the stage."""


class Keeper(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Asks the trainer to save every so many steps, and when somebody asks it to stop; stores what it is given.

    It saves after the step's metrics were logged, on a boundary between generations, and never after the last step:
    what follows then is the result itself.
    """

    def __init__(self, ctx: Context, watch: Watch, request: Request, per_generation: int) -> None:
        """`per_generation` is the number of steps between two generations of answers."""
        asked = ctx.stage.placement.checkpoints
        self._stopping = False
        self._every, self._apart = asked.every or EVERY, per_generation
        self._ctx, self._watch, self._request = ctx, watch, request
        self._saver: Saver | None = None
        if ctx.rank == 0:
            keep = Keep(asked.keep, asked.keep_best, asked.keep_every)
            self._saver = Saver(ctx.objects, ctx.stage, ctx.attempt, ctx.out.parent / "checkpoints", keep)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the trainer after each optimiser step."""
        step, stop = state.global_step, self._all_stop(args.device)
        if step % self._apart:
            return
        passed = step // self._every > (step - self._apart) // self._every
        control.should_save = stop or (passed and step < state.max_steps)
        control.should_training_stop |= stop
        if stop:  # one rank's signal is everybody's
            self._stopping = self._request.made = True

    def save(self, trainer: Any) -> None:
        """Take a snapshot and go on; called by all ranks. Rank 0 has what the others have, but for random states."""
        states: list[Any] = [None] * self._ctx.world
        own = generators.capture()
        if self._ctx.world == 1:
            states = [own]
        else:
            torch.distributed.gather_object(own, states if self._ctx.rank == 0 else None)
        score = self._watch.score_since_save()
        if self._saver is None:
            return
        self._saver.offer(
            Order(
                snapshot=take(trainer, states, trainer.running()),
                total=trainer.state.max_steps,
                world=self._ctx.world,
                score=score,
                logs={path: path.stat().st_size for path in sorted(self._ctx.out.glob("*.jsonl"))},
            )
        )

    def finish(self) -> None:
        """After training. If a stop was asked for, all ranks wait until the last checkpoint is stored, or cannot be."""
        if not self._stopping:
            if self._saver is not None:
                self._saver.forget()
            return
        if self._saver is not None:
            self._saver.wait(FOREVER)
            self._request.answer = (
                f"stopped by a signal; the store has the checkpoint of step {self._saver.step}"
            )
        if self._ctx.world > 1:
            torch.distributed.barrier()

    def _all_stop(self, device: Any) -> bool:
        """Whether any rank was asked to: they get the signal at different moments and must stop at the same step."""
        if self._ctx.world == 1:
            return self._request.made
        asked = torch.tensor(int(self._request.made), device=device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked)
