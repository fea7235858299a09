"""What a report says, as data. All text in it is raw: escaping is the renderers' business, and theirs alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.metrics.effect import Effect
    from c2f_spec.metrics.errors_by_class import Calibration, Confusion
    from c2f_spec.report.cases import CaseSet
    from c2f_spec.report.outputs import StageLine
    from c2f_spec.report.scores import ScoreCell
    from c2f_spec.report.tables import CustomTable, PaperTable


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
class ModelScores:
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
class DatasetScores:
    """All models on one data set."""

    data: Data
    rows: tuple[ModelScores, ...]
    n: int | None
    majority: float | None
    """Acc2 of always answering the larger class of these clips."""

    def row(self, model: str) -> ModelScores | None:
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
class TrainingGain:
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
    outcome: str
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
class Section:
    """One variant of the plan, from its results to its spec."""

    name: str
    description: str
    summary: tuple[str, ...]
    caveats: tuple[str, ...]
    """What is rendered, tiny or partial: said plainly."""
    tables: tuple[DatasetScores, ...]
    gains: tuple[TrainingGain, ...]
    funnel: Funnel | None
    curves: tuple[Curves, ...]
    examples: tuple[Examples, ...]
    defaults: tuple[Default, ...]
    source: str
    policy: str
    resamples: int


HypothesisOutcome = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True, slots=True)
class HypothesisResult:
    """A hypothesis and what became of it, in words."""

    name: str
    claim: str
    outcome: HypothesisOutcome
    evidence: str
    """What it was judged by, or why it could not be."""
    registration: str
    """Whether it stood before the results did."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page."""

    name: str
    digest: str
    environment: str
    sections: tuple[Section, ...]
    stages: tuple[StageLine, ...]
    hypotheses: tuple[HypothesisResult, ...] = ()
    groups: tuple[str, ...] = ()
    """Names of the experiments, the seeds of each taken together."""
    tables: tuple[PaperTable | CustomTable, ...] = ()
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


# What the page shows of all experiments of a plan together, as data.


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A checkpoint of an experiment on every test set that any experiment has."""

    group: str
    checkpoint: str
    cells: tuple[ScoreCell | None, ...]
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
class PairedTest:
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
    tests: tuple[PairedTest, ...]


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
