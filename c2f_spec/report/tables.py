"""Tables as data: the paper's with our numbers beside them, and those that a spec defines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.metrics.effect import Effect
    from c2f_spec.report.scores import ScoreCell
    from c2f_spec.spec.reporting import Metric

PERCENT = ("Acc2", "Acc3", "Acc5", "Acc7", "F1")
"""Metrics that are shown in percent."""

Aggregate = Literal["mean_sd", "mean", "interval", "seeds"]


@dataclass(frozen=True, slots=True)
class PaperCell:
    """A number of the paper, and ours: accuracies and F1 in percent."""

    metric: str
    paper: float
    mean: float | None
    """Mean over seeds."""
    spread: float | None
    """Standard deviation over seeds, if there are several."""
    interval: tuple[float, float] | None
    """95 % interval over clips."""
    delta: float | None
    """Ours minus the paper's."""
    equal: bool
    """Whether the difference is within what the paper prints, or within one clip."""
    mark: str
    """Reason why the paper's number is read otherwise than it is printed; empty if it is not."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    model: str
    test: str
    setting: str
    """`ID` or `OOD`, as the paper says."""
    cells: tuple[PaperCell, ...]
    state: str
    """Empty if there are numbers of ours, else the reason."""
    cell: ScoreCell | None
    """Our scores, if an experiment of the plan runs this row."""
    doubts: tuple[str, ...]
    """Remarks on what is odd about the paper's row."""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of the paper with our numbers beside it."""

    name: str
    title: str
    rows: tuple[PaperRow, ...]


class CustomColumn(NamedTuple):
    dataset: str
    metric: Metric


@dataclass(frozen=True, slots=True)
class CustomRow:
    title: str
    state: str
    """Empty if there are numbers, else the reason."""
    cells: Mapping[str, ScoreCell]
    """Test set → scores."""
    effects: Mapping[CustomColumn, Effect]
    """Differences to the table's baseline; empty if there is none or it is this row."""
    notes: tuple[str, ...]
    """Reasons why comparisons are missing."""


@dataclass(frozen=True, slots=True)
class CustomTable:
    """A table that a spec defines."""

    name: str
    title: str
    columns: tuple[CustomColumn, ...]
    rows: tuple[CustomRow, ...]
    aggregate: Aggregate
    against: str
    """Name of the variant that cells are compared with; empty for none."""


class Number(NamedTuple):
    """A number of a table with everything that it must be read with: a line of `tables.csv`."""

    table: str
    model: str
    test: str
    setting: str
    metric: str
    measured: float | None
    sd: float | None
    low: float | None
    high: float | None
    paper: float | None
    delta: float | None
    equal: bool | None
    p: float | None
    cell: ScoreCell | None
    note: str


class Grid(NamedTuple):
    """A table as text, for every file format."""

    name: str
    title: str
    heads: tuple[str, ...]
    words: int
    """Number of columns from the left that hold words, not numbers."""
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    cells: tuple[ScoreCell, ...]
    """Sources of its numbers."""
