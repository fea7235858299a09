"""Which checkpoints may go. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.checkpoints.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays. The newest stays always."""

    last: int = 2
    """So many of the newest: an older one is needed if the newest is torn."""
    best: int = 0
    """So many with the highest score."""
    every: int | None = None
    """Those at a multiple of so many steps."""


def retired(manifests: Iterable[Manifest], keep: Keep) -> list[Manifest]:
    """Those that no rule keeps, oldest first."""
    by_step = sorted(manifests, key=lambda m: m.step)
    scored = sorted((m for m in by_step if m.score is not None), key=lambda m: (m.score, m.step))
    kept = {m.folder for m in by_step[-max(1, keep.last) :]}
    kept |= {m.folder for m in scored[len(scored) - keep.best :]}
    kept |= {m.folder for m in by_step if keep.every and m.step % keep.every == 0}
    return [m for m in by_step if m.folder not in kept]
