"""`Report` → Markdown: the page's twin for pull requests and terminals, without charts and pictures.

Text of specs and data never becomes syntax: in lines and cells it is escaped character by character, longer text is
fenced by more backticks than it contains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from c2f_spec.report import markdown_all, numbers, paper_tables, table_files
from c2f_spec.report.columns import ACC2, CORR, VERDICT, about, columns, explanation, models
from c2f_spec.report.markup import fence, inline, line, piped
from c2f_spec.report.tables import PaperTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.report.model import Curves, Examples, Funnel, Learned, Report, Row, Section, Table

T = TypeVar("T")


def markdown(report: Report) -> str:
    """The text. Equal reports give equal bytes."""
    blocks = [f"# {inline(report.name)}"]
    blocks += _verdicts(report)
    blocks += _tables(report)
    several = len(report.sections) > 1
    blocks += markdown_all.before(report) if several else []
    for i, section in enumerate(report.sections):
        blocks += [f"## {inline(section.name)}"] if several else []
        blocks += _section(section, report.sections[:i])
    blocks += markdown_all.after(report)
    blocks += _specs(report)
    blocks += _stages(report)
    blocks += _defaults(report)
    blocks.append(inline(f"Plan {report.digest[:16]} in the environment {report.environment}."))
    return "\n\n".join(blocks) + "\n"


def _verdicts(report: Report) -> list[str]:
    """Each a paragraph: what was claimed, the judgement, and what it rests on."""
    blocks = ["## Hypotheses"] if report.verdicts else []
    for v in report.verdicts:
        lead = f"**{v.judgement.capitalize()}** ({inline(v.name)}): {inline(v.claim)}."
        blocks.append(f"{lead} {inline(v.numbers)}. {inline(v.written)}")
    return blocks


def _tables(report: Report) -> list[str]:
    """The tables that the specs name or define."""
    blocks = ["## Tables"] if report.tables else []
    for one in report.tables:
        found = table_files.grid(one)
        title = f": {inline(found.title)}" if found.title else ""
        blocks += [f"### {inline(found.name)}{title}", table_files.markdown(one)]
    of_paper = any(isinstance(one, PaperTable) for one in report.tables)
    return [*blocks, line(paper_tables.EXPLAINED)] if of_paper else blocks


def _section(section: Section, before: Sequence[Section]) -> list[str]:
    blocks = [line(section.description)] if section.description else []
    blocks.append(line(" ".join(section.summary)))
    blocks += [f"> {line(said)}" for said in section.honesty]
    if section.tables:
        blocks += ["## Results", _overview(section), *_learned(section.learned)]
        for one in section.tables:
            blocks += [f"### {inline(one.data.name)}", line(about(one)) + ".", _detail(one, section.policy)]
        blocks.append(line(explanation(section)))
    names = [s.name for s in before]
    blocks += _once(
        "Filters", section.funnel, dict(zip(names, (s.funnel for s in before), strict=True)), _funnel
    )
    blocks += _once(
        "Training", section.curves, dict(zip(names, (s.curves for s in before), strict=True)), _curves
    )
    blocks += _once(
        "Examples", section.examples, dict(zip(names, (s.examples for s in before), strict=True)), _examples
    )
    return blocks


def _once(
    title: str, content: T | None, earlier: dict[str, T | None], draw: Callable[[T], list[str]]
) -> list[str]:
    """A part of a section; if an earlier variant had the very same, its name instead."""
    if not content:
        return []
    same = next((name for name, other in earlier.items() if other == content), None)
    return [f"## {title}", *([inline(f"The same as in {same}.")] if same else draw(content))]


def _overview(section: Section) -> str:
    heads = ["Acc2 [95 %], Corr", *(f"{t.data.name} ({t.data.domain})" for t in section.tables)]
    rows = []
    for row in models(section):
        cells = (t.row(row.model) for t in section.tables)
        rows.append([row.model, *map(_pair, cells)])
    rows.append(["majority class", *(numbers.percent(t.majority) for t in section.tables)])
    return piped(heads, rows)


def _pair(row: Row | None) -> str:
    if row is None:
        return ""
    return row.state or f"{' '.join(ACC2.cell(row)).strip()}, {CORR.cell(row)[0]}"


def _learned(found: Sequence[Learned]) -> list[str]:
    rows = []
    for one in found:
        rows += [[one.model, one.state, "", "", ""]] if one.state else []
        for c in one.comparisons:
            gain, bounds = numbers.points(c.delta), numbers.interval(c.interval, numbers.points)
            rows.append([one.model, c.over, gain, bounds, VERDICT[c.excludes_zero]])
    heads = ["checkpoint", "against", "gain in Acc2, points", "95 % interval", "interval"]
    return ["### Did training help in-domain?", piped(heads, rows, words=2)] if rows else []


def _detail(one: Table, policy: str) -> str:
    shown = columns(one, policy)
    rows = []
    for row in one.rows:
        values = [" ".join(c.cell(row)).strip() for c in shown]
        rows.append([row.model, *(values if not row.state else [row.state, *([""] * (len(shown) - 1))])])
    bar = ["" if c is not ACC2 else numbers.percent(one.majority) for c in shown[:-1]]
    rows.append(["majority class", *bar, numbers.count(one.n)])
    return piped(["model", *(c.title for c in shown)], rows)


def _funnel(found: Funnel) -> list[str]:
    if found.state:
        return [line(found.state)]
    rows = []
    for row in found.rows:
        share = numbers.percent(row.kept / row.entered if row.entered else None)
        lost = [numbers.count(row.dropped.get(f, 0)) for f in found.filters]
        rows.append([row.name, numbers.count(row.entered), numbers.count(row.kept), share, *lost])
    return [piped(["label", "in", "kept", "kept, %", *found.filters], rows)]


def _curves(found: tuple[Curves, ...]) -> list[str]:
    """First and last value of each line; the curves are on the page."""
    blocks = []
    for stage in found:
        blocks.append(f"### {inline(stage.title)}")
        blocks += [line(stage.state)] if stage.state else []
        rows = []
        for chart in stage.charts:
            for s in chart.series:
                values = [v for _, v in s.points if v is not None]
                name = f"{chart.title}: {s.name}" if len(chart.series) > 1 else chart.title
                rows.append([name, chart.unit, f"{values[0]:.4g}", f"{values[-1]:.4g}", str(len(values))])
        blocks += [piped(["curve", "unit", "first", "last", "steps"], rows, words=2)] if rows else []
    return blocks


def _examples(found: tuple[Examples, ...]) -> list[str]:
    blocks = []
    for group in found:
        blocks += [f"### {inline(group.title)}", line(group.state or group.note)]
        for e in group.examples:
            rated = inline(f"{e.id}, rated {numbers.label(e.label)} ({e.polarity}): {e.verdict}")
            blocks += [f"**{rated}**", f"> {line(e.text)}", fence(e.body or "(empty)")]
    return blocks


def _specs(report: Report) -> list[str]:
    blocks = ["## Resolved spec"]
    for section in report.sections:
        blocks += [f"### {inline(section.name)}"] if len(report.sections) > 1 else []
        blocks.append(fence(section.source, "yaml"))
    return blocks


def _stages(report: Report) -> list[str]:
    rows = [
        [
            s.label,
            s.state,
            numbers.seconds(s.seconds) if s.state == "done" else "",
            s.summary,
            s.attempt,
            s.key,
        ]
        for s in report.stages
    ]
    return ["## Stages", piped(["stage", "state", "time", "summary", "attempt", "key"], rows, words=6)]


def _defaults(report: Report) -> list[str]:
    blocks = [
        "## Not in the paper",
        "Fields that the paper does not give and the spec leaves at our default.",
    ]
    for i, section in enumerate(report.sections):
        if any(s.defaults == section.defaults for s in report.sections[:i]):
            continue
        same = [s.name for s in report.sections if s.defaults == section.defaults]
        blocks += [f"### {inline(', '.join(same))}"] if len(report.sections) > 1 else []
        rows = [[d.path, d.value, d.description] for d in section.defaults]
        blocks.append(piped(["field", "value", "meaning"], rows, words=3))
    return blocks
