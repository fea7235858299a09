"""A difference on a terminal, as JSON, and as a comment on a pull request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.comment_output import Table, render_comment
from c2f_spec.cli.output import filled_columns
from c2f_spec.cli.plan_output import format_range
from c2f_spec.cost.gpu_hours import total
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import sanitize, shorten
from c2f_spec.plan.explain import describe_change
from c2f_spec.report.markup import inline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.diff.compare import Difference, SpecDiff
    from c2f_spec.plan.explain import Change
    from c2f_spec.plan.model import Stage

FORMAT_VERSION = 1
MOST_LINES = 30
"""Changed fields of one spec, and lines of the environment, that are printed."""
NO_STAGE = {
    "placement": "where it runs: no stage runs again",
    "report": "how results are shown: no stage runs again",
    "cosmetic": "for people: no stage runs again",
}
"""Class of a field to what a change of it means, where that is no stage."""


def print_difference(difference: Difference) -> None:
    title = f"{difference.old} -> {difference.new}"
    print(sanitize(f"{title}: {describe_specs(difference)}"))
    for line in shared_lines(difference):
        print(sanitize(line))
    for spec in difference.specs:
        print()
        print(sanitize(f"{spec.file}{f' (was {spec.was})' if spec.was else ''}"))
        for line in spec_lines(difference, spec):
            print(sanitize(f"  {line}"))
    if difference.specs:
        print(f"\nin all: {describe_totals(difference)}")


def shared_lines(difference: Difference) -> list[str]:
    """Return the changes behind several specs, each once."""
    return [*_reason_lines(difference, difference.shared), *_environment_lines(difference.shared_place)]


def _reason_lines(difference: Difference, changes: Sequence[Change]) -> list[str]:
    """Return a line for all files of code that changed in the same way, and one for each other change."""
    code: dict[str, list[str]] = {}
    others = []
    for text in dict.fromkeys(describe_change(change, difference.name_of) for change in changes):
        verb, colon, path = text.partition(": ")
        if colon and verb.startswith("code "):
            code.setdefault(verb, []).append(path)
        else:
            others.append(text)
    return [*(f"{verb}: {', '.join(sorted(paths))}" for verb, paths in code.items()), *others]


def describe_specs(difference: Difference) -> str:
    """Return `3 specs change, 40 do not`."""
    changed, unchanged = len(difference.specs), difference.unchanged
    if not changed:
        text = f"nothing changes in {_count(unchanged, 'spec')}"
    else:
        verb, others = "changes" if changed == 1 else "change", "does" if unchanged == 1 else "do"
        text = f"{_count(changed, 'spec')} {verb}, {unchanged:,} {others} not"
    return text + describe_invalid(difference)


def describe_invalid(difference: Difference) -> str:
    """Return which specs do not compile on either side, and so are not compared."""
    invalid = difference.neither
    return (
        f"; {_count(len(invalid), 'spec')} invalid on both sides ({', '.join(invalid[:3])})"
        if invalid
        else ""
    )


def describe_totals(difference: Difference) -> str:
    return (
        f"{_count(len(difference.rerun), 'stage')} to run{_hours(difference.rerun, ' ({} GPU-hours added)')}, "
        f"{len(difference.reused):,} reused{_hours(difference.reused, ' ({} saved)')}, "
        f"{len(difference.dropped):,} no longer needed"
    )


def _hours(stages: Sequence[Stage], form: str) -> str:
    """Return the GPU-hours of stages in `form`; nothing where there are none."""
    hours = total(s.gpu_hours for s in stages)
    return form.format(format_range(hours)) if hours.high else ""


def spec_lines(difference: Difference, spec: SpecDiff) -> list[str]:
    """Return the lines of one spec: changed fields, other reasons, variants, stages."""
    if spec.problem:
        return [f"does not compile: {spec.problem}"]
    lines = [_field_line(spec, field, names) for field, names in spec.fields]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES:,} more fields"]
    shared = set(difference.shared)
    lines += _reason_lines(difference, [change for change in spec.reasons if change not in shared])
    lines += _environment_lines([line for line in spec.place if line not in difference.shared_place])
    lines += _variant_lines(spec)
    for verb, stages in (("run again", spec.rerun), ("reuse", spec.reused)):
        if stages:
            hours = _hours(stages, " ({} GPU-hours)")
            lines.append(f"{verb:<10} {_count(len(stages), 'stage')}{hours}: {group_stages(stages)}")
    return lines


def _environment_lines(lines: Sequence[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"and {left:,} more of the environment"] if left > 0 else [])]


def _field_line(spec: SpecDiff, field: Any, names: Sequence[str]) -> str:
    where = "" if len(names) == spec.compared else f" in {_some_variants(names, spec.compared)}"
    why = NO_STAGE.get(field.kind)
    return f"{field}{where}{f' ({why})' if why else ''}"


def _variant_lines(spec: SpecDiff) -> list[str]:
    renamed = [f"{a} -> {b}" for a, b in spec.renamed]
    groups = (("new", spec.added), ("removed", spec.removed), ("renamed", renamed))
    return [f"{what}: {_some_variants(names)}" for what, names in groups if names]


def _some_variants(names: Sequence[str], number: int = 0) -> str:
    """Return a few names, and how many there are, of `number` where it is given."""
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    if len(names) <= 3 and not number:
        return few
    return f"{len(names):,}{f' of {number}' if number else ''} variants ({few})"


def group_stages(stages: Iterable[Stage]) -> str:
    """Return stages by what they do: `grpo; evaluate grpo on ch-sims, cmu-mosi`, with how many where there are several."""
    groups: dict[str, dict[str, int]] = {}
    for stage in stages:
        head, on, dataset = stage.label.rpartition(" on ")
        if stage.kind == "prepare":
            head, on, dataset = "prepare", " ", stage.label.removeprefix("prepare ")
        members = groups.setdefault(f"{head}{on}" if on else stage.kind, {})
        members[dataset if on else ""] = members.get(dataset if on else "", 0) + 1
    return "; ".join(
        f"{what}{', '.join(f'{name} x{n}' if n > 1 else name for name, n in members.items())}"
        for what, members in groups.items()
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def as_json(difference: Difference) -> str:
    """Return the difference as JSON, each stage by its name, kind, label and key."""
    data = {
        "format_version": FORMAT_VERSION,
        "old": difference.old,
        "new": difference.new,
        "unchanged": difference.unchanged,
        "invalid_on_both_sides": list(difference.neither),
        "specs": [_spec_json(difference, s) for s in difference.specs],
        "run": _stages_json(difference.rerun),
        "reuse": _stages_json(difference.reused),
        "dropped": _stages_json(difference.dropped),
        "gpu_hours": {
            "added": total(s.gpu_hours for s in difference.rerun).to_json(),
            "saved": total(s.gpu_hours for s in difference.reused).to_json(),
        },
    }
    return json_text(data)


def _spec_json(difference: Difference, spec: SpecDiff) -> dict[str, Any]:
    return {
        "file": spec.file,
        "was": spec.was or None,
        "problem": spec.problem or None,
        "fields": [
            {"path": f.path, "change": str(f), "class": f.kind, "variants": list(names)}
            for f, names in spec.fields
        ],
        "environment": list(spec.place),
        "reasons": list(
            dict.fromkeys(describe_change(change, difference.name_of) for change in spec.reasons)
        ),
        "variants": {
            "compared": spec.compared,
            "added": list(spec.added),
            "removed": list(spec.removed),
            "renamed": [list(pair) for pair in spec.renamed],
        },
        "run": [s.key for s in spec.rerun],
        "reuse": [s.key for s in spec.reused],
    }


def _stages_json(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    return [{"name": s.name, "kind": s.kind, "label": s.label, "key": s.key} for s in stages]


# A comment on a pull request: a section for each spec, with long tables folded.


MARKER = "diff"
MOST_SPECS = 20
"""Specs that have a section; of the others the overview has the number of stages."""
MOST_PLANS = 100
MAX_LINE = 300
"""Characters of a line."""
HEADS = ("Spec", "To run", "GPU-hours", "Reused", "Problem")


def as_markdown(difference: Difference) -> str:
    head = f"### {inline(difference.old)} → {inline(difference.new)}: {inline(describe_specs(difference))}"
    if not difference.specs:
        return render_comment(MARKER, [head])
    blocks: list[str | Table] = [head, f"**{inline(describe_totals(difference))}.**"]
    if common := shared_lines(difference):
        blocks.append("\n".join(f"- {inline(shorten(line, 2 * MAX_LINE))}" for line in common))
    if len(difference.specs) > 1:
        blocks.append(_overview(difference))
    for spec in difference.specs[:MOST_SPECS]:
        was = f" (was {inline(spec.was)})" if spec.was else ""
        lines = "\n".join(f"- {inline(shorten(line, MAX_LINE))}" for line in spec_lines(difference, spec))
        blocks.append(f"**{inline(shorten(spec.file, MAX_LINE))}**{was}\n\n{lines}")
    if difference.rerun:
        names = [(s.name, s.label) for s in difference.rerun]
        summary = f"{_count(len(names), 'stage')} to run: {shorten(group_stages(difference.rerun), MAX_LINE)}"
        blocks.append(Table(("Stage", "What"), names, summary))
    return render_comment(MARKER, [*blocks, *_plan_blocks(difference)])


def _plan_blocks(difference: Difference) -> list[str | Table]:
    """Return the digests that a reviewer agrees to: for people, and for the job that applies what was merged."""
    if not difference.plans:
        return []
    plans = dict(list(difference.plans.items())[:MOST_PLANS])
    # The escapes keep the text of a spec from ending the HTML comment.
    hidden = json.dumps(plans).replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
    table = Table(("Spec", "Plan"), list(plans.items()), "Plans to review")
    return [table, f"<!-- c2f-spec:plans {hidden} -->"]


def _overview(difference: Difference) -> Table:
    """Return a row for each spec, without the columns that are empty for all."""
    rows = [
        (
            spec.file,
            str(len(spec.rerun)),
            _hours(spec.rerun, "{}"),
            str(len(spec.reused)),
            spec.problem,
        )
        for spec in difference.specs
    ]
    return Table(*filled_columns(HEADS, rows))
