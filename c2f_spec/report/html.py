"""`Report` → one HTML page that needs nothing else: its policy allows no request, and all text is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from c2f_spec.report import numbers
from c2f_spec.report.markup import Html, el, page
from c2f_spec.report.page_cases import SCRIPTS, STYLES, blocks, cases
from c2f_spec.report.page_errors import errors, rewards, shifts
from c2f_spec.report.page_parts import curves, examples, funnel, table
from c2f_spec.report.page_results import results, verdicts
from c2f_spec.report.page_spent import spent
from c2f_spec.report.page_tables import tables
from c2f_spec.report.page_variants import matrix, pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.report.model import Report, Section

T = TypeVar("T")


def html(report: Report) -> str:
    """The page. Equal reports give equal bytes."""
    parts: list[Html | None] = [el("h1", report.name), _nav(report)]
    if len(report.sections) == 1:
        (section,) = report.sections
        parts += [*_lead(section), *verdicts(report), *tables(report), *_section(report, 0, section)]
        parts += [*pairs(report), *rewards(report), *_of_all(report)]
    else:
        parts += [el("p", _told(report), class_="lead"), *verdicts(report), *matrix(report), *pairs(report)]
        parts += [*tables(report), *rewards(report), *_of_all(report)]
        for i, section in enumerate(report.sections):
            parts += [
                el("h2", section.name, id=f"variant-{i}"),
                *_lead(section),
                *_section(report, i, section),
            ]
    parts += [*_specs(report), *_stages(report), *_defaults(report)]
    parts.append(el("footer", f"Plan {report.digest[:16]} in the environment {report.environment}."))
    parts += blocks(report.cases)
    scripts = SCRIPTS if report.cases or any(c.charts for s in report.sections for c in s.curves) else ()
    return page(f"{report.name} · c2f-spec", parts, scripts=scripts, styles=("page.css", *STYLES))


def _of_all(report: Report) -> list[Html]:
    return [*shifts(report), *errors(report), *cases(report.cases), *spent(report)]


def _told(report: Report) -> str:
    """What several experiments are, in a sentence."""
    done = sum(stage.state == "done" for stage in report.stages)
    names = ", ".join(report.groups)
    runs = f" in {len(report.sections)} runs, one a seed" if len(report.sections) > len(report.groups) else ""
    return f"{len(report.groups)} experiments{runs}: {names}. {done} of {len(report.stages)} stages are done."


def _lead(section: Section) -> list[Html | None]:
    """What was run, the headline numbers, and what must not be read into them."""
    notes = (
        el("div", *(el("p", line) for line in section.honesty), class_="note") if section.honesty else None
    )
    described = el("p", section.description, class_="soft") if section.description else None
    return [described, el("p", " ".join(section.summary), class_="lead"), notes]


def _nav(report: Report) -> Html:
    several = len(report.sections) > 1
    found = report.sections[0]
    tested, tables_ = ("pairs", "Paired tests", report.pairs), ("tables", "Tables", report.tables)
    own = (
        tables_,
        ("results-0", "Results", found.tables),
        ("funnel-0", "Filters", found.funnel),
        ("training-0", "Training", found.curves),
        ("examples-0", "Examples", found.examples),
        tested,
    )
    places = [  # in the order of the page
        ("hypotheses", "Hypotheses", report.verdicts),
        *((("matrix", "All experiments", report.matrix), tested, tables_) if several else own),
        ("rewards", "Rewards", report.rewards or report.rises),
        ("shifts", "Out-of-domain", report.shifts),
        ("errors", "Errors", report.errors),
        ("cases", "Cases", report.cases),
        ("cost", "Cost", report.timeline),
        *((f"variant-{i}", s.name, several) for i, s in enumerate(report.sections)),
        ("spec", "Spec", True),
        ("stages", "Stages", True),
        ("defaults", "Defaults", True),
    ]
    return el("nav", *(el("a", words, href=f"#{place}") for place, words, there in places if there))


def _section(report: Report, i: int, section: Section) -> list[Html]:
    before = report.sections[:i]
    parts = results(section, i)
    parts += _once("Filters", f"funnel-{i}", section.funnel, [(s.name, s.funnel) for s in before], funnel)
    parts += _once("Training", f"training-{i}", section.curves, [(s.name, s.curves) for s in before], curves)
    parts += _once(
        "Examples", f"examples-{i}", section.examples, [(s.name, s.examples) for s in before], examples
    )
    return parts


def _once(
    title: str,
    place: str,
    content: T | None,
    earlier: list[tuple[str, T | None]],
    draw: Callable[[T], list[Html]],
) -> list[Html]:
    """A part of a section; if an earlier variant had the very same, its name instead."""
    if not content:
        return []
    head = el("h2" if not earlier else "h3", title, id=place)
    same = next((name for name, other in earlier if other == content), None)
    return [head, el("p", f"The same as in {same}.", class_="soft")] if same else [head, *draw(content)]


def _specs(report: Report) -> list[Html]:
    parts = [el("h2", "Resolved spec", id="spec")]
    for section in report.sections:
        text = el("pre", el("code", section.source.rstrip("\n")))
        parts.append(el("details", el("summary", section.name), text) if len(report.sections) > 1 else text)
    return parts


def _stages(report: Report) -> list[Html]:
    rows = []
    for stage in report.stages:
        done = stage.state == "done"
        rows.append(
            el(
                "tr",
                el("th", stage.label),
                el(
                    "td",
                    el("span", stage.state, class_=None if done else "state"),
                    class_=None if done else "words",
                ),
                el("td", numbers.seconds(stage.seconds) if done else "", class_="n"),
                el("td", el("code", stage.name, title=stage.key)),
                el("td", stage.summary, class_="words"),
                el("td", el("code", stage.attempt[:8], title=stage.attempt)),
            )
        )
    spent = sum(s.seconds or 0 for s in report.stages)
    note = el("p", f"{len(rows)} stages, {numbers.seconds(spent)} of wall time in all.", class_="about")
    heads = (("stage", ""), ("state", ""), ("time", "n"), ("name", ""), ("summary", ""), ("attempt", ""))
    return [el("h2", "Stages", id="stages"), note, table(heads, rows)]


def _defaults(report: Report) -> list[Html]:
    parts = [el("h2", "Not in the paper", id="defaults")]
    parts.append(
        el("p", "Fields that the paper does not give and the spec leaves at our default.", class_="about")
    )
    for i, section in enumerate(report.sections):
        if any(s.defaults == section.defaults for s in report.sections[:i]):
            continue
        rows = [
            el(
                "tr",
                el("th", el("code", d.path)),
                el("td", el("code", d.value)),
                el("td", d.description, class_="words"),
            )
            for d in section.defaults
        ]
        if len(report.sections) > 1:
            same = [s.name for s in report.sections if s.defaults == section.defaults]
            parts.append(el("h3", ", ".join(same)))
        parts.append(table((("field", ""), ("value", ""), ("meaning", "")), rows))
    return parts
