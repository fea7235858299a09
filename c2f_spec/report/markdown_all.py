"""What the page says of all experiments together, in Markdown: numbers, differences, rewards, errors, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import numbers, page_errors, page_spent, page_variants
from c2f_spec.report.markup import inline, line, piped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.report.model import Matrix, Pair, Report
    from c2f_spec.report.scores import Cell


def before(report: Report) -> list[str]:
    """Above the sections of the single experiments."""
    blocks = []
    if report.matrix is not None and report.matrix.rows:
        blocks += ["## All experiments", _matrix(report.matrix)]
    return [*blocks, *_pairs(report), *_rises(report)]


def after(report: Report) -> list[str]:
    """Below them; with what stands above them where there are several."""
    blocks = [] if len(report.sections) > 1 else [*_pairs(report), *_rises(report)]
    if report.shifts:
        heads = [
            "experiment",
            "checkpoint",
            "Acc2 in-domain",
            "out-of-domain",
            "difference",
            "Corr in-domain",
            "out-of-domain",
            "test sets",
        ]
        blocks += [
            "## In-domain and out-of-domain",
            piped(heads, map(page_errors.shift_texts, report.shifts), 2),
        ]
    if report.errors:
        heads = [
            "experiment",
            "checkpoint",
            "test set",
            "slope",
            "bias",
            "beyond the scale",
            "right by polarity, %",
        ]
        blocks += ["## Calibration", piped(heads, _calibrations(report), 3)]
    if report.timeline:
        told = map(page_spent.texts, (*report.costs, page_spent.total(report)))
        blocks += ["## Cost", piped(page_spent.HEADS, told)]
    return blocks


def _matrix(found: Matrix) -> str:
    heads = ["experiment", "checkpoint", "seeds", *(f"{n}: Acc2 [95 %], MAE, Corr" for n in found.datasets)]
    rows = []
    for row in found.rows:
        seeds = max((len(c.seeds) for c in row.cells if c), default=0)
        rows.append([row.group, row.checkpoint, str(seeds), *map(_cell, row.cells)])
    return piped(heads, rows, 2)


def _cell(cell: Cell | None) -> str:
    if cell is None or not cell.scores:
        return "" if cell is None else "; ".join(cell.missing)
    acc, mae, corr = (cell.scores[name] for name in ("Acc2", "MAE", "Corr"))
    spread = "" if acc.deviation is None else f" ± {numbers.percent(acc.deviation)}"
    bounds = numbers.interval(acc.interval, numbers.percent)
    return (
        f"{numbers.percent(acc.mean)}{spread} {bounds}, {numbers.three(mae.mean)}, {numbers.three(corr.mean)}"
    )


def _pairs(report: Report) -> list[str]:
    blocks = ["## Side by side" if len(report.groups) > 1 else "## Checkpoint against checkpoint"]
    for pair in report.pairs:
        blocks += [f"### {inline(f'{pair.after} against {pair.before}')}", *_pair(pair)]
    return [*blocks, line(page_variants.PAIRED)] if report.pairs else []


def _pair(pair: Pair) -> Iterator[str]:
    if pair.fields:
        yield piped(["field", pair.before, pair.after, "class"], pair.fields, 4)
    rows = []
    for one in pair.tests:
        which = one.after if one.before == one.after else f"{one.after} against {one.before}"
        rows += [[one.dataset, which, one.state, *[""] * 7]] if one.state else []
        rows += [[one.dataset, which, *page_variants.effect_texts(e)] for e in one.effects]
    heads = [
        "test set",
        "checkpoint",
        "metric",
        pair.before,
        pair.after,
        "difference",
        "95 %",
        "p",
        "test",
        "n",
    ]
    yield piped(heads, rows, 3) if rows else "No test set in common."


def _rises(report: Report) -> list[str]:
    if not report.rises:
        return []
    heads = [
        "experiment",
        "seeds",
        "first answers",
        "gain",
        "as trained on",
        "gain",
        "lift by hints",
        "hinted groups, %",
    ]
    return ["## Rewards", piped(heads, map(page_errors.rise_texts, report.rises)), line(page_errors.RISES)]


def _calibrations(report: Report) -> Iterator[list[str]]:
    for e in report.errors:
        counts = e.confusions[0].counts
        right = sum(row[i] for i, row in enumerate(counts)) / max(1, sum(map(sum, counts)))
        slope = "n/a" if e.calibration.slope is None else f"{e.calibration.slope:.2f}"
        told = [
            slope,
            numbers.signed(e.calibration.bias),
            f"{e.calibration.outside:,}",
            numbers.percent(right),
        ]
        yield [e.group, e.checkpoint, e.dataset, *told]
