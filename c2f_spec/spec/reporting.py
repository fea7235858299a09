"""Tables to make of the results, and a hypothesis on them; in no key."""

from typing import Annotated, Literal

from pydantic import Field

from c2f_spec.spec.base import REPORT, Name, Named, SpecModel

Metric = Literal["Acc2", "Acc3", "Acc5", "Acc7", "F1", "MAE", "Corr"]

METRICS: dict[str, tuple[Metric, ...]] = {
    "mosi": ("Acc7", "Acc5", "Acc2", "F1", "MAE", "Corr"),
    "sims": ("Acc5", "Acc3", "Acc2", "F1", "MAE", "Corr"),
}
"""The metrics of each family of data sets (METHOD 4.1, 4.2), in the paper's order."""

TABLES: dict[str, str] = {
    "I": "cmu-mosi", "II": "cmu-mosi", "III": "ch-sims", "IV": "ch-sims", "V": "ch-sims", "VI": "ch-sims",
    "VII": "ch-sims",
}  # fmt: skip
"""Tables of the paper, and what their models were trained on (METHOD 7, 9)."""


class PaperTable(SpecModel):
    """A table of the paper: its rows and columns, with our numbers where an experiment runs a row."""

    kind: Literal["I", "II", "III", "IV", "V", "VI", "VII"]


class TableRow(SpecModel):
    """A variant, all its seeds together."""

    variant: Name = Field(
        description="Its name, without its seed if there are several.", json_schema_extra=REPORT
    )
    checkpoint: Name | None = Field(
        default=None,
        description="Of the variant, or the name of predictions that it imports; absent: its last checkpoint.",
        json_schema_extra=REPORT,
    )
    title: str = Field(
        default="",
        description="What the row is called; absent: the variant's name.",
        json_schema_extra=REPORT,
    )


class TableColumn(SpecModel):
    """The metrics of a test set."""

    dataset: str = Field(description="A test set.", json_schema_extra=REPORT)
    metrics: tuple[Metric, ...] = Field(
        default=(), description="Absent: all that the data set has.", json_schema_extra=REPORT
    )


class OwnTable(SpecModel):
    """Variants by test sets, as the rows and columns say."""

    kind: Literal["own"] = "own"
    name: Name = Field(description="What it is called.", json_schema_extra=REPORT)
    title: str = Field(default="", description="Said above it.", json_schema_extra=REPORT)
    rows: tuple[TableRow, ...] = Field(
        default=(), description="Absent: every variant, in the order of the sweep.", json_schema_extra=REPORT
    )
    columns: tuple[TableColumn, ...] = Field(
        default=(), description="Absent: every test set, with all its metrics.", json_schema_extra=REPORT
    )
    aggregate: Literal["mean_sd", "mean", "interval", "seeds"] = Field(
        default="mean_sd",
        description="What a cell shows of several seeds: mean and standard deviation, the mean alone, the mean with its "
        "95 % interval over clips, or each seed's number.",
        json_schema_extra=REPORT,
    )
    against: Name | None = Field(
        default=None,
        description="A variant: cells then show the difference to it, with the p of a paired test.",
        json_schema_extra=REPORT,
    )


Table = Annotated[PaperTable | OwnTable, Field(discriminator="kind"), Named("own")]
"""`VI` is short for `{kind: VI}`."""


class Hypothesis(SpecModel):
    """The expected result of this experiment against another, written before it runs."""

    metric: Metric = Field(description="Of the report's columns.", json_schema_extra=REPORT)
    dataset: str | None = Field(
        default=None,
        description="On which test set; absent: the training set's own.",
        json_schema_extra=REPORT,
    )
    direction: Literal["higher", "lower"] = Field(
        description="Than the baseline's.", json_schema_extra=REPORT
    )
    min_effect: Annotated[float, Field(ge=0)] = Field(
        description="Least difference that counts, in the metric's own units: accuracies and F1 are fractions.",
        json_schema_extra=REPORT,
    )
    baseline: Name = Field(
        description="What to compare with: a variant, without its seed if there are several; or `base` or `sft`, "
        "the same experiment's own checkpoint.",
        json_schema_extra=REPORT,
    )
