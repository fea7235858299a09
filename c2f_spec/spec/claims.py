"""What is looked for in the results, in no key: tables of the paper to set beside them, and a hypothesis."""

from typing import Annotated, Literal

from pydantic import Field

from c2f_spec.spec.base import REPORT, Name, SpecModel

Metric = Literal["Acc2", "Acc3", "Acc5", "Acc7", "F1", "MAE", "Corr"]
Table = Literal["I", "II", "III", "IV", "V", "VI", "VII"]

METRICS: dict[str, tuple[Metric, ...]] = {
    "mosi": ("Acc7", "Acc5", "Acc2", "F1", "MAE", "Corr"),
    "sims": ("Acc5", "Acc3", "Acc2", "F1", "MAE", "Corr"),
}
"""Those of each family of data sets (METHOD 4.1, 4.2), in the paper's order."""

TABLES: dict[str, str] = {
    "I": "cmu-mosi", "II": "cmu-mosi", "III": "ch-sims", "IV": "ch-sims", "V": "ch-sims", "VI": "ch-sims",
    "VII": "ch-sims",
}  # fmt: skip
"""Tables of the paper, and what their models were trained on (METHOD 7, 9)."""


class Hypothesis(SpecModel):
    """What is expected of this experiment against another, written before it runs."""

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
