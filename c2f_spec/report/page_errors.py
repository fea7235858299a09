"""Errors, shifts, cost and time on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import charts, numbers
from c2f_spec.report.markup import Html, el
from c2f_spec.report.page_parts import DASH, curves, legend, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from c2f_spec.report.model import Errors, Report, Rise, Shift

CALIBRATED = (
    "Calibration: the mean label of clips whose scores lie in one part of the scale, with 1.96 standard errors; larger dots, "
    "more clips; on the dashed line the mean score is the mean label. Matrices: rows are labels, columns answers, the last one "
    "those without a score. Slope below 1: scores too extreme; above 1: too timid."
)


def rewards(report: Report) -> list[Html]:
    """The paper's Figure 3, and how much of a rise is the hints'."""
    parts = []
    if report.rewards is not None:
        parts += [el("h2", "Reward curves", id="rewards"), *curves((report.rewards,))]
    if report.rises:
        parts.append(
            el("h3", "How much of the rise is learned") if parts else el("h2", "Rewards", id="rewards")
        )
        parts.append(el("p", RISES, class_="about"))
        heads = (("experiment", ""), ("seeds", "n"), ("first answers", "n"), ("gain", "n"), ("as trained on", "n"), ("gain", "n"), ("lift by hints", "n"), ("hinted groups, %", "n"))  # fmt: skip
        parts.append(table(heads, [_rise(r) for r in report.rises]))
    return parts


RISES = (
    "Mean total rewards of the first and the last fifth of the steps. First answers have no hint; what the update used has "
    "hinted answers among it; lift by hints is their difference in the last fifth. Evaluation gives no hints: the stage "
    "asserts it at run time."
)


def _rise(r: Rise) -> Html:
    return el(
        "tr", el("th", r.group), *(el("td", text.translate(DASH), class_="n") for text in rise_texts(r)[1:])
    )


def rise_texts(r: Rise) -> tuple[str, ...]:
    """A line of the table."""
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


def errors(report: Report) -> list[Html]:
    """Confusion matrices and calibration of each experiment's last checkpoint."""
    parts = (
        [el("h2", "Where it errs", id="errors"), el("p", CALIBRATED, class_="about")] if report.errors else []
    )
    groups = list(dict.fromkeys(e.group for e in report.errors))
    for group in groups:
        own = [e for e in report.errors if e.group == group]
        shown = [part for e in own for part in _errors(e, named=len(groups) > 1)]
        parts += [el("details", el("summary", group), *shown)] if len(groups) > 2 else shown
    return parts


def _errors(e: Errors, *, named: bool) -> list[Html]:
    title = f"{f'{e.group}: ' if named else ''}{e.checkpoint} on {e.dataset}"
    three, fine = e.confusions
    slope = "n/a" if e.calibration.slope is None else f"{e.calibration.slope:.2f}"
    beyond = f", {e.calibration.outside:,} scores beyond the scale" if e.calibration.outside else ""
    told = f"Slope {slope}, bias {numbers.signed(e.calibration.bias)}{beyond}.".translate(DASH)
    figures = (
        el("figure", el("h4", "By polarity"), charts.confusion(three, f"{title}, by polarity")),
        el("figure", el("h4", "By class"), charts.confusion(fine, f"{title}, by class")),
        el(
            "figure",
            el("h4", "Calibration of scores"),
            charts.calibrated(e.calibration, e.low, e.high, f"{title}, calibration"),
            el("figcaption", told),
        ),
    )
    return [el("h3", title), el("p", e.domain, class_="about"), el("div", *figures, class_="charts")]


def shifts(report: Report) -> list[Html]:
    """In-domain against out-of-domain."""
    found = report.shifts
    if not found:
        return []
    groups = list(dict.fromkeys(s.group for s in found))
    names = (("experiment", ""),) if len(groups) > 1 else ()
    heads = (*names, ("checkpoint", ""), ("Acc2 in", "n"), ("out", "n"), ("difference", "n"), ("Corr in", "n"), ("out", "n"), ("test sets", "n"))  # fmt: skip
    rows = [_shift(s, bool(names)) for s in found]
    figure = el("figure", legend(groups, "fill") if len(groups) > 1 else None, charts.shifted(found))
    note = "In: the test set of the training data. Out: means over those of other data; sets that contain it are left out."
    return [
        el("h2", "In-domain and out-of-domain", id="shifts"),
        el("p", note, class_="about"),
        el("div", figure, table(heads, rows), class_="beside"),
    ]


def _shift(s: Shift, named: bool) -> Html:
    texts = shift_texts(s)
    first = [el("th", s.group), el("td", s.checkpoint)] if named else [el("th", s.checkpoint)]
    return el("tr", *first, *(el("td", text.translate(DASH), class_="n") for text in texts[2:]))


def shift_texts(s: Shift) -> tuple[str, ...]:
    """A line of the table."""
    return (
        s.group,
        s.checkpoint,
        numbers.percent(s.inside),
        numbers.percent(s.outside),
        numbers.points(s.outside - s.inside),
        numbers.three(s.corr_inside),
        numbers.three(s.corr_outside),
        str(s.datasets),
    )
