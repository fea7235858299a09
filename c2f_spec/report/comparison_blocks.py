"""Blocks of all experiments together: hypotheses, numbers side by side, paired tests, tables, rewards, errors, cost."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from c2f_spec.report import charts, numbers, page_data, table_files
from c2f_spec.report.blocks import (
    Block,
    Cell,
    Charts,
    Column,
    Figure,
    Heading,
    Interactive,
    Missing,
    PageOnly,
    Paragraph,
    fold_many,
    numeric,
    row,
    table,
    words,
)  # fmt: skip
from c2f_spec.report.cost import total
from c2f_spec.report.report_data import PERCENT
from c2f_spec.report.variant_blocks import curves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from c2f_spec.metrics.effect import Effect
    from c2f_spec.report.blocks import Table, Texts
    from c2f_spec.report.report_data import Errors, Pair, Report, Rise, Shift
    from c2f_spec.report.scores import ScoreCell

PAIRED = (
    "Differences on the same clips. Interval: 95 %, by the paired bootstrap over clips, all seeds drawn together. p, "
    "two-sided: McNemar's exact test for accuracies of one run each, with the clips that each side alone has right; else "
    "the paired bootstrap's. Nothing is corrected for the number of comparisons."
)
MATRIX = "First Acc2 in percent with its 95 % interval over clips, then MAE and Corr. Several seeds: mean ± standard deviation."
REWARDS = (
    "Mean total rewards of the first and the last fifth of the steps. First answers have no hint; what the update used has "
    "hinted answers among it; lift by hints is their difference in the last fifth. Evaluation gives no hints: the stage "
    "asserts it at run time."
)
SHIFTS = "In: the test set of the training data. Out: means over those of other data; sets that contain it are left out."
CALIBRATED = (
    "Calibration: the mean label of clips whose scores lie in one part of the scale, with 1.96 standard errors; larger dots, "
    "more clips; on the dashed line the mean score is the mean label. Matrices: rows are labels, columns answers, the last one "
    "those without a score. Slope below 1: scores too extreme; above 1: too timid."
)
CASES = (
    "Every clip with what each model answered, as in the paper's Figure 4. Fixed by RL: the answer before was not right, "
    "the one after is; broken, the other way round. Was hard: no model before RL was right (test clips), or a visit in "
    "training found it so. Right is the polarity. Of several seeds, the first."
)
COST = "Of stages that are done, by their records: a stage that several experiments share is counted once."


def hypotheses(report: Report) -> list[Block]:
    """Describe each hypothesis, its outcome, and what the outcome rests on."""
    if not report.hypotheses:
        return []
    columns = (Column("outcome"), Column("hypothesis", wrap="wide"), Column("evidence", wrap="wide"))
    rows = [
        (h.outcome, f"{h.name}: {h.claim}.", f"{h.evidence}. {h.registration}") for h in report.hypotheses
    ]
    return [Heading("Hypotheses", anchor="hypotheses", link="Hypotheses"), table(columns, rows)]


def matrix_section(report: Report) -> list[Block]:
    """Describe every checkpoint of every experiment on every test set."""
    scored = report.matrix
    if scored is None or not scored.rows:
        return []
    columns = (*words("experiment", "checkpoint"), Column("seeds", "number"))
    datasets = (Column(name, "number", apart=True) for name in scored.datasets)
    rows: list[Texts] = []
    for r in scored.rows:
        seeds = max((len(c.seeds) for c in r.cells if c), default=0)
        rows.append((r.group, r.checkpoint, str(seeds), *map(_scores, r.cells)))
    heading = Heading("All experiments", anchor="matrix", link="All experiments")
    return [heading, Paragraph(MATRIX, "about"), table((*columns, *datasets), rows)]


def _scores(cell: ScoreCell | None) -> Cell:
    if cell is None or not cell.scores:
        return Cell("; ".join(cell.missing) if cell else "", "state")
    acc, mae, corr = (cell.scores[name] for name in ("Acc2", "MAE", "Corr"))
    spread = "" if acc.deviation is None else f" ± {numbers.percent(acc.deviation)}"
    return Cell(
        f"{numbers.percent(acc.mean)}{spread}",
        interval=numbers.interval(acc.interval, numbers.percent),
        under=f"{numbers.three(mae.mean)} · {numbers.three(corr.mean)}",
        title=f"{cell.n:,} clips; {' '.join(source.key for source in cell.sources)}",
    )


def pairs_section(report: Report) -> list[Block]:
    """Describe two experiments side by side; of one alone, its checkpoints."""
    if not report.pairs:
        return []
    title = "Side by side" if len(report.groups) > 1 else "Checkpoint against checkpoint"
    groups = [(f"{pair.after} against {pair.before}", tuple(_pair(pair))) for pair in report.pairs]
    return [
        Heading(title, anchor="pairs", link="Paired tests"),
        Paragraph(PAIRED, "about"),
        *fold_many(groups, 2),
    ]


def _pair(pair: Pair) -> list[Block]:
    blocks: list[Block] = []
    if pair.fields:
        values = (Column(side, "code", wrap="wide") for side in (pair.before, pair.after))
        columns = (Column("field", "code"), *values, Column("class", "soft"))
        blocks.append(table(columns, pair.fields))
    # Of one experiment the two sides are its checkpoints, and need not be named again in each row.
    named = any(test.before != pair.before for test in pair.tests)
    rows: list[Texts] = []
    for test in pair.tests:
        which = test.after if test.before == test.after else f"{test.after} against {test.before}"
        head = (test.dataset, which) if named else (test.dataset,)
        rows += [(*head, Cell(test.state, "soft"))] if test.state else []
        rows += [(*head, *_effect(e)) for e in test.effects]
    if not rows:
        return [*blocks, Missing("no test set in common")]
    columns = (
        *(Column(title, collapse=True) for title in (("test set", "checkpoint") if named else ("test set",))),
        Column("metric"), *numeric(pair.before, pair.after, "difference", "95 %", "p"),
        Column("test", "soft", wrap="narrow"), Column("n", "number"),
    )  # fmt: skip
    return [*blocks, table(columns, rows)]


def _effect(e: Effect) -> tuple[str, ...]:
    """Return metric, baseline, value, difference, interval, p, test and n as texts."""
    show, gain = (numbers.percent, numbers.points) if e.metric in PERCENT else (numbers.three, numbers.signed)
    only = "".join(f", {d.ours} : {d.theirs}" for d in e.discordant)
    if e.seeds > 1 and e.discordant:
        only = f"; McNemar of each seed: {', '.join(numbers.p_value(d.p) for d in e.discordant)}"
    seeds = f" × {e.seeds} seeds" if e.seeds > 1 else ""
    return (
        e.metric, show(e.baseline), show(e.value), gain(e.delta), numbers.interval(e.interval, gain),
        numbers.p_value(e.p), f"{e.test}{only}", f"{e.clips:,}{seeds}",
    )  # fmt: skip


def tables(report: Report) -> list[Block]:
    """Describe the tables that the specs name or define."""
    if not report.tables:
        return []
    return [Heading("Tables", anchor="tables", link="Tables"), *table_files.blocks(report.tables, 3)]


def rewards_section(report: Report) -> list[Block]:
    """Describe the paper's Figure 3, and how much of the rise is learned and how much the hints give."""
    blocks: list[Block] = curves((report.rewards,), level=3) if report.rewards else []
    if report.rises:
        blocks += [Heading("How much of the rise is learned", 3)] if blocks else []
        columns = (
            *words("experiment"),
            *numeric(
                "seeds", "first answers", "gain", "as trained on", "gain", "lift by hints", "hinted groups, %"
            ),
        )
        blocks += [Paragraph(REWARDS, "about"), table(columns, map(_rise, report.rises))]
    return [Heading("Rewards", anchor="rewards", link="Rewards"), *blocks] if blocks else []


def _rise(r: Rise) -> tuple[str, ...]:
    return (
        r.group,
        str(r.seeds),
        _from_to(r.unhinted, numbers.three),
        numbers.signed(_gain(r.unhinted)),
        _from_to(r.trained, numbers.three),
        numbers.signed(_gain(r.trained)),
        numbers.signed(_gain((r.unhinted[1], r.trained[1]))),
        _from_to(r.hinted, numbers.percent),
    )


def _from_to(ends: tuple[float | None, float | None], show: Callable[[Any], str]) -> str:
    return f"{show(ends[0])} → {show(ends[1])}"


def _gain(ends: tuple[float | None, float | None]) -> float | None:
    return None if ends[0] is None or ends[1] is None else ends[1] - ends[0]


def shifts_section(report: Report) -> list[Block]:
    """Describe each checkpoint in-domain against out-of-domain."""
    if not report.shifts:
        return []
    groups = tuple(dict.fromkeys(s.group for s in report.shifts))
    several = len(groups) > 1
    columns = (
        *words(*(["experiment"] if several else []), "checkpoint"),
        *numeric("Acc2 in", "out", "difference", "Corr in", "out", "test sets"),
    )
    rows = [(*([s.group] if several else []), *_shift(s)) for s in report.shifts]
    figure = Figure(partial(charts.shift_chart, report.shifts), legend=groups)
    return [
        Heading("In-domain and out-of-domain", anchor="shifts", link="Out-of-domain"),
        Paragraph(SHIFTS, "about"),
        Charts((figure,), table(columns, rows), "beside"),
    ]


def _shift(s: Shift) -> tuple[str, ...]:
    return (
        s.checkpoint,
        numbers.percent(s.inside),
        numbers.percent(s.outside),
        numbers.points(s.outside - s.inside),
        numbers.three(s.corr_inside),
        numbers.three(s.corr_outside),
        str(s.datasets),
    )


def errors_section(report: Report) -> list[Block]:
    """Describe confusion and calibration of each experiment's last checkpoint."""
    if not report.errors:
        return []
    named = len({e.group for e in report.errors}) > 1
    charts_of: dict[str, tuple[Block, ...]] = {}
    for e in report.errors:
        charts_of[e.group] = (*charts_of.get(e.group, ()), *_error_charts(e, named=named))
    pictures = fold_many(list(charts_of.items()), 2) if len(charts_of) > 2 else chain(*charts_of.values())
    return [
        Heading("Where it errs", anchor="errors", link="Errors"),
        _calibrations(report.errors),
        PageOnly((Paragraph(CALIBRATED, "about"), *pictures)),
    ]


def _calibrations(models: Iterable[Errors]) -> Table:
    columns = (
        *words("experiment", "checkpoint", "test set"),
        *numeric("slope", "bias", "beyond the scale", "right by polarity, %"),
    )
    rows = []
    for e in models:
        counts = e.confusions[0].counts
        right = sum(r[i] for i, r in enumerate(counts)) / max(1, sum(map(sum, counts)))
        calibration = (_slope(e), numbers.signed(e.calibration.bias), f"{e.calibration.outside:,}")
        rows.append((e.group, e.checkpoint, e.dataset, *calibration, numbers.percent(right)))
    return table(columns, rows)


def _slope(e: Errors) -> str:
    return numbers.NOTHING if e.calibration.slope is None else f"{e.calibration.slope:.2f}"


def _error_charts(e: Errors, *, named: bool) -> list[Block]:
    title = f"{f'{e.group}: ' if named else ''}{e.checkpoint} on {e.dataset}"
    polarities, classes = e.confusions
    beyond = f", {e.calibration.outside:,} scores beyond the scale" if e.calibration.outside else ""
    caption = f"Slope {_slope(e)}, bias {numbers.signed(e.calibration.bias)}{beyond}."
    calibration = partial(charts.calibration_chart, e.calibration, e.low, e.high, f"{title}, calibration")
    drawn = (
        Figure(partial(charts.confusion_matrix, polarities, f"{title}, by polarity"), "By polarity"),
        Figure(partial(charts.confusion_matrix, classes, f"{title}, by class"), "By class"),
        Figure(calibration, "Calibration of scores", caption),
    )
    return [Heading(title, 3), Paragraph(e.domain, "about"), Charts(drawn)]


def cases(report: Report) -> list[Block]:
    """Describe the place where a person looks at every clip and its answers."""
    if not report.cases:
        return []
    place = Interactive("cases-view", page_data.CASES_SCRIPTS, partial(page_data.case_blocks, report.cases))
    return [PageOnly((Heading("Cases", anchor="cases", link="Cases"), Paragraph(CASES, "about"), place))]


def cost(report: Report) -> list[Block]:
    """Describe cost by kind of stage, and the timeline."""
    if not report.timeline:
        return []
    columns = (
        *words("kind"),
        *numeric(
            "stages", "done", "wall time", "if nothing were shared", "GPU-hours", "peak memory, MB", "of a GPU, MB",
            "tokens/s",
        ),
    )  # fmt: skip
    rows = [
        row(
            (
                c.kind, numbers.count(c.stages), numbers.count(c.done), numbers.seconds(c.seconds),
                numbers.seconds(c.unshared), f"{c.gpu_hours:.2f}", numbers.count(c.peak_mb), numbers.count(c.gpu_mb),
                numbers.count(c.tokens_per_second),
            ),
            ruled=c.kind == "all",
        )
        for c in (*report.costs, total(report.costs))
    ]  # fmt: skip
    bars = Figure(partial(charts.timeline_chart, report.timeline))
    return [
        Heading("Cost", anchor="cost", link="Cost"),
        Paragraph(COST, "about"),
        table(columns, rows),
        PageOnly((Heading("Timeline", 3), Charts((bars,), layout="timeline"))),
    ]
