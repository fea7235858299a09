"""What the page shows of all experiments of a plan together, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from c2f_spec.metrics.effect import Effect
    from c2f_spec.metrics.errors_by_class import Calibration, Confusion
    from c2f_spec.report.cells import Cell


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A checkpoint of an experiment on every test set that any experiment has."""

    group: str
    checkpoint: str
    cells: tuple[Cell | None, ...]
    """`None` where it is not evaluated."""


@dataclass(frozen=True, slots=True)
class Matrix:
    datasets: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


class FieldLine(NamedTuple):
    """A field in which two specs differ, as it would be written."""

    path: str
    old: str
    new: str
    kind: str
    """Its class: `identity`, `placement`, `report`, `cosmetic`."""


@dataclass(frozen=True, slots=True)
class Tested:
    """A test set on which two models were compared."""

    dataset: str
    before: str
    after: str
    effects: tuple[Effect, ...]
    state: str
    """Empty if they could be compared."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two experiments side by side, or two checkpoints of one."""

    before: str
    after: str
    fields: tuple[FieldLine, ...]
    tests: tuple[Tested, ...]


@dataclass(frozen=True, slots=True)
class Rise:
    """Mean rewards of the first and of the last fifth of RL's steps, over seeds: what hints lifted, and what was learned."""

    group: str
    unhinted: tuple[float | None, float | None]
    trained: tuple[float | None, float | None]
    """Of the answers that the update used, hinted ones among them."""
    hinted: tuple[float | None, float | None]
    """Share of groups."""
    seeds: int


@dataclass(frozen=True, slots=True)
class Errors:
    """Where a model errs on a test set."""

    group: str
    checkpoint: str
    dataset: str
    domain: str
    low: float
    high: float
    confusions: tuple[Confusion, Confusion]
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Shift:
    """A model in-domain and out-of-domain, means over test sets."""

    group: str
    checkpoint: str
    inside: float
    outside: float
    corr_inside: float | None
    corr_outside: float | None
    datasets: int
    """Out-of-domain test sets."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage on the timeline, in seconds since the first one began."""

    label: str
    kind: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class KindCost:
    """What the stages of a kind took."""

    kind: str
    stages: int
    done: int
    seconds: float
    gpu_hours: float
    peak_mb: float | None
    unshared: float
    """Seconds if every experiment had run its own."""
    gpu_mb: float | None = None
    """Peak of one GPU, of tensors."""
    tokens_per_second: float | None = None
    """Of all GPUs of a stage together, in training; the median of the stages."""
