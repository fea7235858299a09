"""The content of a report as data, and its tables: the paper's with our numbers beside them, and those of specs.

All text in it is raw: escaping is the renderers' business alone.
"""

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
    from c2f_spec.spec.reporting import Metric

Domain = Literal["in-domain", "out-of-domain", "overlaps the training data"]
HypothesisOutcome = Literal["supported", "not supported", "undecided"]
Aggregate = Literal["mean_sd", "mean", "interval", "seeds"]
PERCENT = ("Acc2", "Acc3", "Acc5", "Acc7", "F1")
"""Metrics that are printed in percent."""


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
    """Empty if it was prepared, else the reason."""


@dataclass(frozen=True, slots=True)
class ModelScores:
    """The scores of one model on one data set."""

    model: str
    """`base`, `sft`, `grpo`, or the features of a linear baseline."""
    group: Literal["checkpoint", "baseline"]
    state: str
    """Empty if there are scores, else the reason."""
    scores: Mapping[str, Any]
    parsed_only: Mapping[str, Any]
    """Metrics over the answers that have a score."""


@dataclass(frozen=True, slots=True)
class DatasetScores:
    """The scores of all models on one data set."""

    data: Data
    rows: tuple[ModelScores, ...]
    n: int | None
    majority: float | None
    """Acc2 of always answering the larger class of these clips."""

    def row(self, model: str) -> ModelScores | None:
        """Return the scores of a model; `None` if this data set has none."""
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
    """Gains in Acc2 of a trained checkpoint over what needs less training."""

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
    """Counts of chains that each filter dropped, in all and by the label's polarity."""

    state: str
    rows: tuple[FunnelRow, ...]
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """A line of values over steps, broken where a step has `None`."""

    name: str
    points: tuple[tuple[float, float | None], ...]
    band: tuple[tuple[float, float, float], ...] = ()
    """Step, low and high of each point: a standard deviation over seeds to either side."""


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
    """Kept, dropped with the reason, or how the answer compares with the label."""
    text: str
    label: float | None
    polarity: str
    body: str
    jpeg: bytes | None
    no_picture: str
    """Reason why there is no picture; empty if there is."""


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
    """Sentences on what must not be read into the numbers: rendered, tiny or partial."""
    tables: tuple[DatasetScores, ...]
    gains: tuple[TrainingGain, ...]
    funnel: Funnel | None
    curves: tuple[Curves, ...]
    examples: tuple[Examples, ...]
    defaults: tuple[Default, ...]
    source: str
    policy: str
    resamples: int


@dataclass(frozen=True, slots=True)
class HypothesisResult:
    """A hypothesis, its outcome, and the evidence, in words."""

    name: str
    claim: str
    outcome: HypothesisOutcome
    evidence: str
    """Numbers that decided, or the reason why it is undecided."""
    registration: str
    """Whether it was written down before the results."""


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a report."""

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
    """The paper's Figure 3 of all experiments that were trained by RL; `None` for fewer than two."""
    rises: tuple[Rise, ...] = ()
    errors: tuple[Errors, ...] = ()
    shifts: tuple[Shift, ...] = ()
    timeline: tuple[Bar, ...] = ()
    costs: tuple[KindCost, ...] = ()


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A checkpoint of an experiment on every test set that any experiment has."""

    group: str
    checkpoint: str
    cells: tuple[ScoreCell | None, ...]
    """One a test set; `None` where the checkpoint is not evaluated."""


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
    """Empty if they could be compared, else the reason."""


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
    """Reward of the answers that the update used, hinted ones among them."""
    hinted: tuple[float | None, float | None]
    """Share of groups that got a hint."""
    seeds: int


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of a model on a test set."""

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
    """Number of out-of-domain test sets."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage on the timeline, in seconds since the first one began."""

    label: str
    kind: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class KindCost:
    """The cost of the stages of one kind; `seconds` of wall time."""

    kind: str
    stages: int
    done: int
    seconds: float
    gpu_hours: float
    peak_mb: float | None
    unshared: float
    """Seconds if no experiments shared stages."""
    gpu_mb: float | None = None
    """Peak of tensors on one GPU, in MB."""
    tokens_per_second: float | None = None
    """Tokens a second in training, of all GPUs of a stage together; median of the stages."""


@dataclass(frozen=True, slots=True)
class PaperCell:
    """A number of the paper, and ours: accuracies and F1 in percent."""

    metric: str
    paper: float
    mean: float | None
    """Mean over seeds."""
    undefined: bool
    """Whether the evaluation ran and the metric has no value."""
    spread: float | None
    """Standard deviation over seeds, if there are several."""
    interval: tuple[float, float] | None
    """95 % interval over clips."""
    delta: float | None
    """Ours minus the paper's; `None` where the number of test clips is not the paper's."""
    equal: bool
    """Whether the difference is within what the paper prints, or within one of the paper's test clips."""
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
    other_n: str
    """Empty if the number of test clips is the paper's, else why no difference is shown."""


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
