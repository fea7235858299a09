"""The pages of a report: its blocks in the order in which a person reads them, rendered as HTML and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import comparison_blocks as comparison
from c2f_spec.report import html as html_page
from c2f_spec.report import markdown as markdown_page
from c2f_spec.report import numbers
from c2f_spec.report import variant_blocks as variant
from c2f_spec.report.blocks import Block, Cell, Code, Column, Details, Document, Heading, Paragraph, table

if TYPE_CHECKING:
    from c2f_spec.report.report_data import Default, Report


def html(report: Report) -> str:
    """Render the page. Equal reports give equal bytes."""
    return html_page.render(document(report))


def markdown(report: Report) -> str:
    """Render the page's twin for pull requests and terminals. Equal reports give equal bytes."""
    return markdown_page.render(document(report))


def document(report: Report) -> Document:
    """Describe the page of a report. One experiment is read first and compared then; of several the comparison is first."""
    blocks: list[Block] = []
    if len(report.sections) == 1:
        (section,) = report.sections
        blocks += [*variant.lead(section), *comparison.hypotheses(report), *comparison.tables(report)]
        blocks += [*variant.parts(report, 0), *comparison.pairs_section(report), *_all_experiments(report)]
    else:
        blocks += [Paragraph(_introduction(report), "lead"), *comparison.hypotheses(report)]
        blocks += [
            *comparison.matrix_section(report),
            *comparison.pairs_section(report),
            *comparison.tables(report),
        ]
        blocks += _all_experiments(report)
        for i, section in enumerate(report.sections):
            blocks.append(Heading(section.name, anchor=f"variant-{i}", link=section.name))
            blocks += [*variant.lead(section), *variant.parts(report, i)]
    blocks += [*_specs(report), *_stages(report), *_defaults(report)]
    footer = f"Plan {report.digest[:16]} in the environment {report.environment}."
    return Document(report.name, tuple(blocks), footer)


def _all_experiments(report: Report) -> list[Block]:
    return [
        *comparison.rewards_section(report),
        *comparison.shifts_section(report),
        *comparison.errors_section(report),
        *comparison.cases(report),
        *comparison.cost(report),
    ]


def _introduction(report: Report) -> str:
    """Return a sentence about a report of several experiments."""
    done = sum(stage.state == "done" for stage in report.stages)
    names = ", ".join(report.groups)
    runs = f" in {len(report.sections)} runs, one a seed" if len(report.sections) > len(report.groups) else ""
    return f"{len(report.groups)} experiments{runs}: {names}. {done} of {len(report.stages)} stages are done."


def _specs(report: Report) -> list[Block]:
    sources = [(section.name, Code(section.source, "yaml")) for section in report.sections]
    blocks = [code if len(sources) == 1 else Details(name, (code,), level=3) for name, code in sources]
    return [Heading("Resolved spec", anchor="spec", link="Spec"), *blocks]


def _stages(report: Report) -> list[Block]:
    columns = (
        Column("stage"), Column("state"), Column("time", "number"), Column("key", "code"),
        Column("summary", wrap="wide"), Column("attempt", "code"),
    )  # fmt: skip
    rows = [
        (
            s.label,
            Cell(s.state, kind="words" if s.state == "done" else "state"),
            numbers.seconds(s.seconds) if s.state == "done" else "",
            Cell(s.name, full=s.key),
            s.summary,
            Cell(s.attempt[:8], full=s.attempt),
        )
        for s in report.stages
    ]
    total = numbers.seconds(sum(s.seconds or 0 for s in report.stages))
    return [
        Heading("Stages", anchor="stages", link="Stages"),
        Paragraph(f"{len(rows)} stages, {total} of wall time in all.", "about"),
        table(columns, rows),
    ]


def _defaults(report: Report) -> list[Block]:
    note = "Fields that the paper does not give and the spec leaves at our default."
    blocks: list[Block] = [
        Heading("Not in the paper", anchor="defaults", link="Defaults"),
        Paragraph(note, "about"),
    ]
    names_of: dict[tuple[Default, ...], list[str]] = {}
    for section in report.sections:
        names_of.setdefault(section.defaults, []).append(section.name)
    columns = (Column("field", "code"), Column("value", "code"), Column("meaning", wrap="wide"))
    for defaults, names in names_of.items():
        blocks += [Heading(", ".join(names), 3)] if len(report.sections) > 1 else []
        blocks.append(table(columns, [(d.path, d.value, d.description) for d in defaults]))
    return blocks
