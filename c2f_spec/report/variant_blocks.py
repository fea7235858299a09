"""Blocks of one variant: its summary, results, filters, training curves and examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from c2f_spec.report import charts, numbers
from c2f_spec.report.blocks import (
    Block,
    Cell,
    Charts,
    Column,
    Excerpt,
    Figure,
    Heading,
    Missing,
    Note,
    PageOnly,
    Paragraph,
    numeric,
    row,
    table,
    words,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from c2f_spec.report.blocks import Row, Table, Texts
    from c2f_spec.report.report_data import (
        Curves,
        DatasetScores,
        Examples,
        Funnel,
        ModelScores,
        Report,
        Section,
        TrainingGain,
    )

T = TypeVar("T")
UNPARSABLE = {
    "worst_case": "An answer without a score counts as wrong in every accuracy and as the largest error: where there are many, Corr is near −1.",
    "neutral_fill": "An answer without a score counts as 0, neutral.",
    "parsed_only": "Answers without a score are left out: read every number together with its coverage.",
}
INTERVALS = {True: "excludes 0", False: "includes 0", None: "no interval"}
LANGUAGES = {"en": "English", "zh": "Chinese"}


def lead(section: Section) -> list[Block]:
    """Describe what was run, the headline numbers, and what must not be read into them."""
    described = [Paragraph(section.description, "soft")] if section.description else []
    notes = [Note(section.caveats)] if section.caveats else []
    return [*described, Paragraph(" ".join(section.summary), "lead"), *notes]


def parts(report: Report, i: int) -> list[Block]:
    """Describe results, filters, training and examples of the variant `i`.

    A part that an earlier variant has in equal form is replaced by a reference to it.
    """
    section, before = report.sections[i], report.sections[:i]
    alone = len(report.sections) == 1
    level = 2 if alone else 3

    def part(title: str, get: Callable[[Section], T], describe: Callable[[T], list[Block]]) -> list[Block]:
        content = get(section)
        if not content:
            return []
        same = next((s.name for s in before if get(s) == content), None)
        blocks = [Paragraph(f"The same as in {same}.", "soft")] if same else describe(content)
        return [Heading(title, level, f"{title.lower()}-{i}", title if alone else ""), *blocks]

    blocks: list[Block] = []
    if section.tables:
        head = Heading("Results", level, f"results-{i}", "Results" if alone else "")
        blocks += [head, *_results(section, level + 1)]
    blocks += part("Filters", lambda s: s.funnel, _funnel)
    blocks += part("Training", lambda s: s.curves, partial(curves, level=level + 1))
    blocks += part("Examples", lambda s: s.examples, partial(_examples, level=level + 1))
    return blocks


# Results: an overview of all data sets, a picture of Acc2, and every number of each data set.


@dataclass(frozen=True, slots=True)
class ScoreColumn:
    """A metric in the table of one data set."""

    title: str
    key: str
    """Name of the metric in the scores."""
    show: Callable[[Any], str]
    bounds: bool = False
    """Whether it has a 95 % interval."""
    parsed: bool = False
    """Whether it is computed from the answers that have a score."""

    def cell(self, scored: ModelScores) -> Cell:
        scores: Mapping[str, Any] = scored.parsed_only if self.parsed else scored.scores
        interval = (scores.get("intervals") or {}).get(self.key) if self.bounds else None
        return Cell(self.show(scores.get(self.key)), interval=numbers.interval(interval, self.show))


ACC2 = ScoreColumn("Acc2 [95 %]", "Acc2", numbers.percent, bounds=True)
CORR = ScoreColumn("Corr [95 %]", "Corr", numbers.three, bounds=True)
PARSED = ScoreColumn("Acc2 parsed", "Acc2", numbers.percent, parsed=True)


def score_columns(scores: DatasetScores, policy: str) -> tuple[ScoreColumn, ...]:
    """Return the columns of a data set. SIMS has no seven classes; `Acc2 parsed` appears if an answer had no score."""
    fine = "Acc7" if scores.data.family == "mosi" else "Acc5"
    unparsed = any(r.scores and r.scores["n_parsed"] < r.scores["n"] for r in scores.rows)
    return (
        ScoreColumn(fine, fine, numbers.percent),
        ACC2,
        *((PARSED,) if unparsed and policy != "parsed_only" else ()),
        ScoreColumn("F1", "F1", numbers.percent),
        ScoreColumn("MAE", "MAE", numbers.three),
        CORR,
        ScoreColumn("format", "format_rate", numbers.percent),
        ScoreColumn("polarity", "polarity_accuracy", numbers.percent),
        ScoreColumn("tag = score", "tag_score_agreement", numbers.percent),
        ScoreColumn("coverage", "coverage", numbers.percent),
        ScoreColumn("n", "n", numbers.count),
    )


def _results(section: Section, level: int) -> list[Block]:
    note = "First Acc2 in percent, then Corr; both with 95 % intervals."
    blocks: list[Block] = [_overview(section), Paragraph(note, "about")]
    if section.gains:
        blocks += [Heading("Did training help in-domain?", level), _gains(section.gains)]
    blocks += _acc2_charts(section, level)
    for scores in section.tables:
        about = Paragraph(f"{_about(scores)}.", "about")
        blocks += [Heading(scores.data.name, level), about, _all_metrics(scores, section.policy)]
    return [*blocks, Paragraph(_explanation(section), "about")]


def _overview(section: Section) -> Table:
    """Describe Acc2 and Corr of every model on every data set, the data sets grouped by domain."""
    models = {r.model: r for scores in reversed(section.tables) for r in reversed(scores.rows)}
    order = dict.fromkeys(r.model for scores in section.tables for r in scores.rows)
    columns = [Column(s.data.name, "number", apart=True, group=s.data.domain) for s in section.tables]
    rows = [
        row(
            (name, *(_acc2_and_corr(s.row(name)) for s in section.tables)),
            minor=models[name].group == "baseline",
        )
        for name in order
    ]
    majority = (numbers.percent(s.majority) for s in section.tables)
    rows.append(row(("majority class", *majority), minor=True, ruled=True))
    return table((Column("Acc2, Corr"), *columns), rows)


def _acc2_and_corr(scored: ModelScores | None) -> Cell:
    if scored is None or scored.state:
        return Cell(scored.state if scored else "", "state")
    acc2, corr = ACC2.cell(scored), CORR.cell(scored)
    return Cell(acc2.text, interval=acc2.interval, under=f"{corr.text} {corr.interval}".strip())


def _all_metrics(scores: DatasetScores, policy: str) -> Table:
    score_cols = score_columns(scores, policy)
    rows: list[Row] = []
    for r in scores.rows:
        cells = [Cell(r.state, "state")] if r.state else [c.cell(r) for c in score_cols]
        rows.append(row((r.model, *cells), minor=r.group == "baseline"))
    known = {ACC2: numbers.percent(scores.majority), score_cols[-1]: numbers.count(scores.n)}
    rows.append(row(("majority class", *(known.get(c, "") for c in score_cols)), minor=True, ruled=True))
    columns = (Column(c.title, "number", interval=c.bounds) for c in score_cols)
    return table((Column("model"), *columns), rows)


def _gains(gains: Sequence[TrainingGain]) -> Table:
    """Describe what each trained checkpoint gains over what needs no training."""
    rows: list[Texts] = []
    for one in gains:
        rows += [(one.model, Cell(one.state, "state"))] if one.state else []
        for c in one.comparisons:
            gain, bounds = numbers.points(c.delta), numbers.interval(c.interval, numbers.points)
            clear = Cell(INTERVALS[c.excludes_zero], None if c.excludes_zero else "soft")
            rows.append((one.model, c.over, gain, bounds, clear))
    columns = (
        *words("checkpoint", "against"),
        *numeric("gain in Acc2, points", "95 % interval"),
        *words("interval"),
    )
    return table(columns, rows)


def _acc2_charts(section: Section, level: int) -> list[Block]:
    """Describe a chart of Acc2 for each data set, all on one scale."""
    values = [s.majority for s in section.tables]
    for scores in (r.scores for s in section.tables for r in s.rows if r.scores):
        values += [scores["Acc2"], *((scores.get("intervals") or {}).get("Acc2") or ())]
    known = [100 * v for v in values if v is not None]
    if not known:
        return []
    scale = charts.ticks(min(known), max(known))
    drawn = [
        Figure(partial(charts.dot_chart, s, scale[0], scale[-1]), s.data.name, s.data.domain)
        for s in section.tables
        if any(r.scores for r in s.rows)
    ]
    note = "Dot and line: Acc2 and its 95 % interval. Dashed: the majority class. Grey: linear baselines. One scale."
    return [PageOnly((Heading("Acc2 at a glance", level), Paragraph(note, "about"), Charts(tuple(drawn))))]


def _explanation(section: Section) -> str:
    """Return what the columns mean, for under the tables."""
    return (
        "Accuracies, F1 (weighted) and rates in percent; MAE and Corr in the units of the ratings. Acc2 leaves neutral "
        "labels out where the data set's papers do. In brackets, 95 % bootstrap intervals over clips "
        f"({section.resamples:,} resamples). {UNPARSABLE[section.policy]} format: answers in exactly the format. polarity: the "
        "tag is the label's. tag = score: the score has the tag's polarity. coverage: clips with a score. The majority "
        "class is the larger one of these test labels, which no model knows: the bar to pass."
    )


def _about(scores: DatasetScores) -> str:
    """Return one line on a data set."""
    data, test = scores.data, scores.data.splits.get("test")
    facts = [
        data.domain,
        f"ratings from {numbers.plain(data.low)} to {numbers.plain(data.high)}",
        LANGUAGES[data.language],
    ]
    facts += [f"{test:,} test clips"] if test is not None else []
    facts += ["voice and face rendered"] if data.rendered else []
    if scores.n is not None and test is not None and test != scores.n:
        facts.append(f"only {scores.n:,} answered")
    return ", ".join(facts)


# Filters, curves, examples.


def _funnel(funnel: Funnel | None) -> list[Block]:
    if funnel is None or funnel.state:
        return [Missing(funnel.state)] if funnel else []
    rows = []
    for r in funnel.rows:
        share = numbers.percent(r.kept / r.entered if r.entered else None)
        dropped = (numbers.count(r.dropped.get(f, 0)) for f in funnel.filters)
        rows.append((r.name, numbers.count(r.entered), numbers.count(r.kept), share, *dropped))
    note = "Chains of thought that the teacher wrote, by the polarity of the label, and the filter that dropped each."
    columns = (*words("label"), *numeric("in", "kept", "kept, %", *funnel.filters))
    figure = Figure(
        partial(charts.funnel_chart, funnel.rows, funnel.filters), legend=("kept", *funnel.filters)
    )
    return [Paragraph(note, "about"), Charts((figure,), table(columns, rows), "beside")]


def curves(stages: Sequence[Curves], level: int) -> list[Block]:
    """Describe the charts of training stages; their tables have the first and the last value of each line."""
    blocks: list[Block] = []
    for stage in stages:
        blocks.append(Heading(stage.title, level))
        blocks += [Missing(stage.state)] if stage.state else []
        rows, drawn = [], []
        for chart in stage.charts:
            several = len(chart.series) > 1
            legend = tuple(s.name for s in chart.series)
            draw = partial(charts.line_chart, chart)
            drawn.append(Figure(draw, chart.title, chart.note.strip(), legend, lines=True))
            for s in chart.series:
                values = [v for _, v in s.points if v is not None]
                name = f"{chart.title}: {s.name}" if several else chart.title
                rows.append((name, chart.unit, f"{values[0]:.4g}", f"{values[-1]:.4g}", str(len(values))))
        columns = (*words("curve", "unit"), *numeric("first", "last", "steps"))
        blocks.append(Charts(tuple(drawn), table(columns, rows), "smoothed"))
    return blocks


def _examples(groups: Sequence[Examples], level: int) -> list[Block]:
    blocks: list[Block] = []
    for group in groups:
        blocks += [Heading(group.title, level), Paragraph(group.note, "about")]
        if group.state:
            blocks.append(Missing(group.state))
            continue
        for e in group.examples:
            title = f"{e.id}, rated {numbers.label(e.label)} ({e.polarity}): {e.outcome}"
            blocks.append(Excerpt(f"clip {e.id}", title, e.text, e.body or "(empty)", e.jpeg, e.no_picture))
    return blocks
