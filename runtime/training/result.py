"""The model that training leaves: adapters merged, and under ZeRO 3 gathered from all ranks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.checkpoints.parts import shape
from runtime.models.student import save
from runtime.training.tuner import merged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.models.student import Student


def save_trained(trainer: Any, student: Student, folder: Path) -> None:
    """Called by all ranks; rank 0 writes, in the type that the weights came in. Raises `LookupError` if a tensor is not
    whole.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    with _whole(model):
        found = merged(model)
        if trainer.args.process_index == 0:
            came_in = found.config.dtype
            save(type(student)(found.to(came_in) if came_in else found, student.processor), folder)


@contextmanager
def _whole(model: Any) -> Iterator[None]:
    """Inside, every rank has every parameter, as when ZeRO 3 generates: 2 bytes a weight (METHOD 8.4)."""
    parameters = dict(model.named_parameters())
    spread = [p for p in parameters.values() if hasattr(p, "ds_tensor")]
    if not spread:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(spread):
        for name, parameter in parameters.items():
            if parameter.shape != shape(parameter):
                raise LookupError(
                    f"`{name}` was not gathered: {tuple(parameter.shape)} of {tuple(shape(parameter))}"
                )
        yield
