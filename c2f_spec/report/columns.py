"""Which numbers a table of results shows, and how: the same for the page and for its Markdown twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2f_spec.report import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from c2f_spec.report.model import Row, Section, Table

WHAT = {
    "worst_case": "An answer without a score counts as wrong in every accuracy and as the largest error: where there are many, Corr is near −1.",
    "neutral_fill": "An answer without a score counts as 0, neutral.",
    "parsed_only": "Answers without a score are left out: read every number together with its coverage.",
}

VERDICT = {True: "excludes 0", False: "includes 0", None: "no interval"}


@dataclass(frozen=True, slots=True)
class Column:
    """`key` of the scores, shown by `show`, with the 95 % interval if `bounds`."""

    title: str
    key: str
    show: Callable[[Any], str]
    bounds: bool = False
    parsed: bool = False
    """Of the metrics over the answers that have a score."""

    def cell(self, row: Row) -> tuple[str, str]:
        """The value and its interval, as text."""
        scores: Mapping[str, Any] = row.parsed_only if self.parsed else row.scores
        found = (scores.get("intervals") or {}).get(self.key) if self.bounds else None
        return self.show(scores.get(self.key)), numbers.interval(found, self.show)


ACC2 = Column("Acc2 [95 %]", "Acc2", numbers.percent, bounds=True)
CORR = Column("Corr [95 %]", "Corr", numbers.three, bounds=True)
PARSED = Column("Acc2 parsed", "Acc2", numbers.percent, parsed=True)


def columns(table: Table, policy: str) -> tuple[Column, ...]:
    """Of one data set. SIMS has no seven classes; `Acc2 parsed` appears if an answer had no score."""
    fine = "Acc7" if table.data.family == "mosi" else "Acc5"
    unparsed = any(row.scores and row.scores["n_parsed"] < row.scores["n"] for row in table.rows)
    return (
        Column(fine, fine, numbers.percent),
        ACC2,
        *((PARSED,) if unparsed and policy != "parsed_only" else ()),
        Column("F1", "F1", numbers.percent),
        Column("MAE", "MAE", numbers.three),
        CORR,
        Column("format", "format_rate", numbers.percent),
        Column("polarity", "polarity_accuracy", numbers.percent),
        Column("tag = score", "tag_score_agreement", numbers.percent),
        Column("coverage", "coverage", numbers.percent),
        Column("n", "n", numbers.count),
    )


def models(section: Section) -> list[Row]:
    """A row of each model that any data set has: predictions of others may be of one alone."""
    found: dict[str, Row] = {}
    for one in section.tables:
        for row in one.rows:
            found.setdefault(row.model, row)
    return list(found.values())


def explanation(section: Section) -> str:
    """What the columns mean, under the tables."""
    return (
        "Accuracies, F1 (weighted) and rates in percent; MAE and Corr in the units of the ratings. Acc2 leaves neutral "
        "labels out where the data set's papers do. In brackets, 95 % bootstrap intervals over clips "
        f"({section.resamples:,} resamples). {WHAT[section.policy]} format: answers in exactly the format. polarity: the "
        "tag is the label's. tag = score: the score has the tag's polarity. coverage: clips with a score. The majority "
        "class is the larger one of these test labels, which no model knows: the bar to pass."
    )


def about(table: Table) -> str:
    """One line on a data set."""
    data = table.data
    low, high = numbers.plain(data.low), numbers.plain(data.high)
    parts = [
        f"{data.domain}",
        f"ratings from {low} to {high}",
        {"en": "English", "zh": "Chinese"}[data.language],
    ]
    test = data.splits.get("test")
    if test is not None:
        parts.append(f"{test:,} test clips")
    if data.rendered:
        parts.append("voice and face rendered")
    expected = table.n is not None and test is not None and test != table.n
    return ", ".join([*parts, f"only {table.n:,} answered"] if expected else parts)
