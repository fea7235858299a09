"""All experiments on the page: one table of their numbers, then two side by side with what differs and paired tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import numbers
from c2f_spec.report.markup import Html, el
from c2f_spec.report.page_parts import DASH, missing, table
from c2f_spec.report.tables import PERCENT

if TYPE_CHECKING:
    from c2f_spec.metrics.effect import Effect
    from c2f_spec.report.model import Pair, Report, Tested
    from c2f_spec.report.scores import Cell

PAIRED = (
    "Differences on the same clips. Interval: 95 %, by the paired bootstrap over clips, all seeds drawn together. p, "
    "two-sided: McNemar's exact test for accuracies of one run each, with the clips that each side alone has right; else "
    "the paired bootstrap's. Nothing is corrected for the number of comparisons."
)
MATRIX = (
    "Upper line Acc2 in percent with its 95 % interval over clips, lower line MAE and Corr. Several seeds: mean ± standard "
    "deviation."
)


def matrix(report: Report) -> list[Html]:
    """Every checkpoint of every experiment on every test set; nothing for one experiment of one seed, which has its own."""
    found = report.matrix
    if found is None or not found.rows or len(report.sections) < 2:
        return []
    heads = [
        ("experiment", ""),
        ("checkpoint", ""),
        ("seeds", "n"),
        *((name, "first n") for name in found.datasets),
    ]
    rows = []
    for row in found.rows:
        seeds = max((len(c.seeds) for c in row.cells if c), default=0)
        cells = (_cell(c) for c in row.cells)
        rows.append(
            el("tr", el("th", row.group), el("td", row.checkpoint), el("td", str(seeds), class_="n"), *cells)
        )
    return [el("h2", "All experiments", id="matrix"), el("p", MATRIX, class_="about"), table(heads, rows)]


def _cell(cell: Cell | None) -> Html:
    if cell is None:
        return el("td", class_="first n")
    if not cell.scores:
        return el("td", el("span", "; ".join(cell.missing), class_="state"), class_="first n")
    acc, mae, corr = (cell.scores[name] for name in ("Acc2", "MAE", "Corr"))
    spread = "" if acc.deviation is None else f" ± {numbers.percent(acc.deviation)}"
    lower = f"{numbers.three(mae.mean)} · {numbers.three(corr.mean)}".translate(DASH)
    keys = " ".join(source.key for source in cell.sources)
    return el(
        "td",
        f"{numbers.percent(acc.mean)}{spread}",
        el("span", numbers.interval(acc.interval, numbers.percent), class_="ci"),
        el("span", lower, class_="ci under"),
        class_="first n",
        title=f"{cell.n:,} clips; {keys}",
    )


def pairs(report: Report) -> list[Html]:
    """Two experiments side by side; of one, its checkpoints."""
    if not report.pairs:
        return []
    several = len(report.groups) > 1
    title = "Side by side" if several else "Checkpoint against checkpoint"
    parts = [el("h2", title, id="pairs"), el("p", PAIRED, class_="about")]
    for pair in report.pairs:
        shown = _pair(pair)
        head = f"{pair.after} against {pair.before}"
        if len(report.pairs) > 2:
            parts.append(el("details", el("summary", head), *shown))
        else:
            parts += [el("h3", head), *shown]
    return parts


def _pair(pair: Pair) -> list[Html]:
    parts = []
    if pair.fields:
        heads = (("field", ""), (pair.before, ""), (pair.after, ""), ("class", ""))
        parts.append(table(heads, [_field(*line) for line in pair.fields]))
    # Of one experiment the two sides are its checkpoints, and need not be named again in each line.
    named = any(one.before != pair.before for one in pair.tests)
    which = (("checkpoint", ""),) if named else ()
    sides = ((pair.before, "n"), (pair.after, "n"))
    numbers_ = (("difference", "n"), ("95 %", "n"), ("p", "n"), ("test", ""), ("n", "n"))
    lines = [line for one in pair.tests for line in _tested(one, named=named)]
    heads = (("test set", ""), *which, ("metric", ""), *sides, *numbers_)
    return [*parts, table(heads, lines) if lines else missing("no test set in common")]


def _field(path: str, old: str, new: str, kind: str) -> Html:
    values = (el("td", el("code", value), class_="words") for value in (old, new))
    return el("tr", el("th", el("code", path)), *values, el("td", kind, class_="soft"))


def _tested(one: Tested, *, named: bool) -> list[Html]:
    """A line a metric, the first with the test set and, `named`, the checkpoints."""
    which = one.after if one.before == one.after else f"{one.after} against {one.before}"
    lines: list[list[Html]] = [_effect(e) for e in one.effects]
    if one.state:
        lines = [[el("td", one.state, class_="soft words", colspan="8")]]
    rows = []
    for i, cells in enumerate(lines):
        first = el("th", "" if i else one.dataset)
        rows.append(el("tr", first, el("td", "" if i else which) if named else None, *cells))
    return rows


def _effect(e: Effect) -> list[Html]:
    metric, *values, test, n = effect_texts(e)
    cells = [el("td", text.translate(DASH), class_="n") for text in values]
    return [el("td", metric), *cells, el("td", test, class_="soft test"), el("td", n, class_="n")]


def effect_texts(e: Effect) -> tuple[str, ...]:
    """Metric, baseline, value, difference, interval, p, test, n."""
    show, gain = (numbers.percent, numbers.points) if e.metric in PERCENT else (numbers.three, numbers.signed)
    only = "".join(f", {d.ours} : {d.theirs}" for d in e.discordant)
    if e.seeds > 1 and e.discordant:
        only = f"; McNemar of each seed: {', '.join(numbers.p_value(d.p) for d in e.discordant)}"
    seeds = f" × {e.seeds} seeds" if e.seeds > 1 else ""
    return (
        e.metric,
        show(e.baseline),
        show(e.value),
        gain(e.delta),
        numbers.interval(e.interval, gain),
        numbers.p_value(e.p),
        f"{e.test}{only}",
        f"{e.clips:,}{seeds}",
    )
