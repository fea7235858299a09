"""What a clip shows, before any processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shown:
    """As the decoder gives it."""

    frames: NDArray[np.uint8] | None
    """(T, height, width, 3), in their final size; `None` without a picture."""
    sound: NDArray[np.float32] | None
    """Samples at 16 kHz; `None` without sound."""
    seconds: float
