"""Whether any step of a training would hint: known when it begins, because epochs become steps there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from c2f_spec.errors import StageSpecWrong

if TYPE_CHECKING:
    from c2f_spec.spec.hint import Hint


class Given(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Ends a training at its start that is named after hints and would have none."""

    def __init__(self, spec: Hint) -> None:
        self._spec = spec

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Raises `StageSpecWrong`."""
        del args, control
        assert_given(self._spec, state.max_steps)


def assert_given(spec: Hint, steps: int) -> None:
    """Raises `StageSpecWrong` if hints stop before they begin; where epochs are asked for, that is known only here."""
    if spec.hard_policy == "hint" and spec.warmup_steps >= spec.stop_after * steps:
        raise StageSpecWrong(
            f"no hint would ever be given: training has {steps} steps, and hints begin after step {spec.warmup_steps}",
            hint="lower `grpo.hint.warmup_steps`, or raise `grpo.epochs` or `grpo.hint.stop_after`",
        )
