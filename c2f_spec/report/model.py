"""What a report says, as data. All text in it is raw: escaping is the renderers' business, and theirs alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.report.cases import CaseSet
    from c2f_spec.report.tables import OwnTable, PaperTable
    from c2f_spec.report.views import Bar, Errors, KindCost, Matrix, Pair, Rise, Shift

Domain = Literal["in-domain", "out-of-domain", "overlaps the training data"]


@dataclass(frozen=True, slots=True)
class Data:
    """A data set as it was prepared."""

    name: str
    domain: Domain
    language: str
    low: float
    high: float
    family: str
    rendered: bool
    splits: Mapping[str, int]
    note: str
    state: str
    """Empty if it was prepared."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one data set."""

    model: str
    """`base`, `sft`, `grpo`, or the features of a linear baseline."""
    group: Literal["checkpoint", "baseline"]
    state: str
    """Empty if there are scores, else why not."""
    scores: Mapping[str, Any]
    parsed_only: Mapping[str, Any]
    """The same metrics over the answers that have a score."""


@dataclass(frozen=True, slots=True)
class Table:
    """All models on one data set."""

    data: Data
    rows: tuple[Row, ...]
    n: int | None
    majority: float | None
    """Acc2 of always answering the larger class of these clips."""

    def row(self, model: str) -> Row | None:
        """Of a model; `None` if this data set has none of it."""
        return next((row for row in self.rows if row.model == model), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Acc2 of a model minus another's on the same clips, as fractions."""

    over: str
    delta: float | None
    interval: tuple[float, float] | None
    excludes_zero: bool | None


@dataclass(frozen=True, slots=True)
class Learned:
    """Whether a trained checkpoint is better than what needs no training."""

    model: str
    acc2: float | None
    comparisons: tuple[Comparison, ...]
    state: str


@dataclass(frozen=True, slots=True)
class FunnelRow:
    name: str
    entered: int
    kept: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many chains each filter dropped, in all and by the label's polarity."""

    state: str
    rows: tuple[FunnelRow, ...]
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Values over steps; `None` where a step has no value, and the line is broken there."""

    name: str
    points: tuple[tuple[float, float | None], ...]
    band: tuple[tuple[float, float, float], ...] = ()
    """Step, low and high: a standard deviation over seeds to either side."""


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    unit: str
    series: tuple[Series, ...]
    note: str = ""
    zero: bool = True
    """Whether the axis of values begins at 0."""
    smooth: bool = False
    """Whether a smoothed line is drawn over the values."""


@dataclass(frozen=True, slots=True)
class Curves:
    """The charts of a training stage."""

    title: str
    state: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A clip and what a teacher or a student wrote about it."""

    id: str
    verdict: str
    """Kept, dropped and why, or how the answer compares with the label."""
    text: str
    label: float | None
    polarity: str
    body: str
    jpeg: bytes | None
    no_picture: str
    """Why there is no picture, if there is none."""


@dataclass(frozen=True, slots=True)
class Examples:
    title: str
    note: str
    state: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Default:
    """A field that the paper does not give and the spec does not set."""

    path: str
    value: str
    description: str


@dataclass(frozen=True, slots=True)
class StageLine:
    key: str
    name: str
    label: str
    state: str
    """`done`, or why not."""
    seconds: float | None
    attempt: str
    summary: str


@dataclass(frozen=True, slots=True)
class Section:
    """One variant of the plan, from its results to its spec."""

    name: str
    description: str
    summary: tuple[str, ...]
    honesty: tuple[str, ...]
    """What is rendered, tiny or partial: said plainly."""
    tables: tuple[Table, ...]
    learned: tuple[Learned, ...]
    funnel: Funnel | None
    curves: tuple[Curves, ...]
    examples: tuple[Examples, ...]
    defaults: tuple[Default, ...]
    source: str
    policy: str
    resamples: int


Judgement = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A hypothesis and what became of it, in words."""

    name: str
    claim: str
    judgement: Judgement
    numbers: str
    """What it was judged by, or why it could not be."""
    written: str
    """Whether it stood before the results did."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page."""

    name: str
    digest: str
    environment: str
    sections: tuple[Section, ...]
    stages: tuple[StageLine, ...]
    verdicts: tuple[Verdict, ...] = ()
    groups: tuple[str, ...] = ()
    """Names of the experiments, the seeds of each taken together."""
    tables: tuple[PaperTable | OwnTable, ...] = ()
    cases: tuple[CaseSet, ...] = ()
    matrix: Matrix | None = None
    pairs: tuple[Pair, ...] = ()
    rewards: Curves | None = None
    """The paper's Figure 3, of all experiments that were trained by RL; absent of one."""
    rises: tuple[Rise, ...] = ()
    errors: tuple[Errors, ...] = ()
    shifts: tuple[Shift, ...] = ()
    timeline: tuple[Bar, ...] = ()
    costs: tuple[KindCost, ...] = ()
