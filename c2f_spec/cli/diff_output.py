"""A difference on a terminal, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.comment_output import Table, comment
from c2f_spec.cli.hours_output import span
from c2f_spec.cost.gpu_hours import total
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import sanitize, shorten
from c2f_spec.plan.explain import sentence
from c2f_spec.report.markup import inline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.diff.compare import Difference, SpecDiff
    from c2f_spec.plan.explain import Change
    from c2f_spec.plan.model import Stage


FORMAT_VERSION = 1
MOST_LINES = 30
"""Fields of one spec that are told."""
NO_STAGE = {
    "placement": "where it runs: no stage runs again",
    "report": "how results are shown: no stage runs again",
    "cosmetic": "for people: no stage runs again",
}


def as_table(found: Difference) -> None:
    print(sanitize(f"{found.old} -> {found.new}: {summary(found)}"))
    for line in shared(found):
        print(sanitize(line))
    for spec in found.specs:
        print()
        print(sanitize(f"{spec.file}{f' (was {spec.was})' if spec.was else ''}"))
        for line in lines(found, spec):
            print(sanitize(f"  {line}"))
    if found.specs:
        print(f"\n{totals(found)}")


def shared(found: Difference) -> list[str]:
    """What is behind several specs, told once."""
    return [*reasons(found, found.shared), *_places(found.shared_place)]


def reasons(found: Difference, told: Sequence[Change]) -> list[str]:
    """Files of code in one line for each way in which they changed, the rest one by one."""
    code: dict[str, list[str]] = {}
    others = []
    for text in dict.fromkeys(sentence(change, found.name_of) for change in told):
        verb, colon, path = text.partition(": ")
        if colon and verb.startswith("code "):
            code.setdefault(verb, []).append(path)
        else:
            others.append(text)
    return [*(f"{verb}: {', '.join(sorted(paths))}" for verb, paths in code.items()), *others]


def summary(found: Difference) -> str:
    """`3 specs change, 40 do not`."""
    n = len(found.specs)
    told = f"{_specs(n)} {'changes' if n == 1 else 'change'}, {found.unchanged:,} {'does' if found.unchanged == 1 else 'do'} not"
    if not n:
        told = f"nothing changes in {_specs(found.unchanged)}"
    return told + neither(found)


def neither(found: Difference) -> str:
    """Of what cannot be said anything: it compiles on neither side."""
    few = ", ".join(found.neither[:3])
    return f"; {_specs(len(found.neither))} invalid on both sides ({few})" if found.neither else ""


def totals(found: Difference) -> str:
    return (
        f"in all: {stages(len(found.rerun))} to run{_hours(found.rerun, ' ({} GPU-hours added)')}, "
        f"{len(found.reused):,} reused{_hours(found.reused, ' ({} saved)')}, "
        f"{len(found.dropped):,} no longer needed"
    )


def _hours(of: Sequence[Stage], form: str) -> str:
    """Their GPU-hours in `form`; nothing where there are none."""
    found = total(s.gpu_hours for s in of)
    return form.format(span(found)) if found.high else ""


def lines(found: Difference, spec: SpecDiff) -> list[str]:
    """What is told of one spec."""
    if spec.problem:
        return [f"does not compile: {spec.problem}"]
    told = [_field(spec, field, names) for field, names in spec.fields]
    if len(told) > MOST_LINES:
        told = [*told[:MOST_LINES], f"and {len(told) - MOST_LINES:,} more fields"]
    common = set(found.shared)
    told += reasons(found, [change for change in spec.reasons if change not in common])
    told += _places([line for line in spec.place if line not in found.shared_place])
    told += _variants(spec)
    if spec.rerun:
        told.append(_part("run again", spec.rerun))
    if spec.reused:
        told.append(_part("reuse", spec.reused))
    return told


def _part(verb: str, of: Sequence[Stage]) -> str:
    return f"{verb:<10} {stages(len(of))}{_hours(of, ' ({} GPU-hours)')}: {groups(of)}"


def _places(lines: Sequence[str]) -> list[str]:
    few = list(lines[:MOST_LINES])
    return few + (
        [f"and {len(lines) - MOST_LINES:,} more of the environment"] if len(lines) > MOST_LINES else []
    )


def _field(spec: SpecDiff, field: Any, names: Sequence[str]) -> str:
    where = "" if len(names) == spec.compared else f" in {_some(names, spec.compared)}"
    why = NO_STAGE.get(field.kind)
    return f"{field}{where}{f' ({why})' if why else ''}"


def _variants(spec: SpecDiff) -> list[str]:
    told = []
    if spec.added:
        told.append(f"new: {_some(spec.added)}")
    if spec.removed:
        told.append(f"removed: {_some(spec.removed)}")
    if spec.renamed:
        told.append(f"renamed: {_some([f'{a} -> {b}' for a, b in spec.renamed])}")
    return told


def _some(names: Sequence[str], of: int = 0) -> str:
    """A few names, and how many there are."""
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    total = f" of {of}" if of else ""
    return few if len(names) <= 3 and not of else f"{len(names):,}{total} variants ({few})"


def groups(found: Iterable[Stage]) -> str:
    """Stages by what they do: `grpo; evaluate grpo on ch-sims, cmu-mosi`, with how many where there are several."""
    by_what: dict[str, dict[str, int]] = {}
    for stage in found:
        head, on, dataset = stage.label.rpartition(" on ")
        if stage.kind == "prepare":
            head, on, dataset = "prepare", " ", stage.label.removeprefix("prepare ")
        known = by_what.setdefault(f"{head}{on}" if on else stage.kind, {})
        known[dataset if on else ""] = known.get(dataset if on else "", 0) + 1
    return "; ".join(_group(what, members) for what, members in by_what.items())


def _group(what: str, members: dict[str, int]) -> str:
    return f"{what}{', '.join(f'{name} x{n}' if n > 1 else name for name, n in members.items())}"


def stages(number: int) -> str:
    return f"{number:,} stage{'' if number == 1 else 's'}"


def _specs(number: int) -> str:
    return f"{number:,} spec{'' if number == 1 else 's'}"


def as_json(found: Difference) -> str:
    """Each stage by its name, kind, label and key."""
    data = {
        "format_version": FORMAT_VERSION,
        "old": found.old,
        "new": found.new,
        "unchanged": found.unchanged,
        "invalid_on_both_sides": list(found.neither),
        "specs": [_spec(found, s) for s in found.specs],
        "run": _stages(found.rerun),
        "reuse": _stages(found.reused),
        "dropped": _stages(found.dropped),
        "gpu_hours": {
            "added": total(s.gpu_hours for s in found.rerun).to_json(),
            "saved": total(s.gpu_hours for s in found.reused).to_json(),
        },
    }
    return json_text(data)


def _spec(found: Difference, spec: SpecDiff) -> dict[str, Any]:
    return {
        "file": spec.file,
        "was": spec.was or None,
        "problem": spec.problem or None,
        "fields": [
            {"path": f.path, "change": str(f), "class": f.kind, "variants": list(names)}
            for f, names in spec.fields
        ],
        "environment": list(spec.place),
        "reasons": list(dict.fromkeys(sentence(change, found.name_of) for change in spec.reasons)),
        "variants": {
            "compared": spec.compared,
            "added": list(spec.added),
            "removed": list(spec.removed),
            "renamed": [list(pair) for pair in spec.renamed],
        },
        "run": [s.key for s in spec.rerun],
        "reuse": [s.key for s in spec.reused],
    }


def _stages(found: Iterable[Stage]) -> list[dict[str, Any]]:
    return [{"name": s.name, "kind": s.kind, "label": s.label, "key": s.key} for s in found]


# A difference as a comment on a pull request: a section a spec, with what is long folded away.


MARKER = "diff"
MOST_SPECS = 20
"""So many specs have a section of their own; of the others the table says how many stages run."""
MOST_PLANS = 100
LINE = 300
HEADS = ("Spec", "To run", "GPU-hours", "Reused", "Problem")


def as_markdown(found: Difference) -> str:
    head = f"### {inline(found.old)} → {inline(found.new)}: {inline(summary(found))}"
    if not found.specs:
        return comment(MARKER, [head])
    blocks: list[str | Table] = [head, f"**{inline(totals(found)).removeprefix('in all: ')}.**"]
    if common := shared(found):
        blocks.append("\n".join(f"- {inline(shorten(line, 2 * LINE))}" for line in common))
    if len(found.specs) > 1:
        blocks.append(_overview(found))
    for spec in found.specs[:MOST_SPECS]:
        was = f" (was {inline(spec.was)})" if spec.was else ""
        told = "\n".join(f"- {inline(shorten(line, LINE))}" for line in lines(found, spec))
        blocks.append(f"**{inline(shorten(spec.file, LINE))}**{was}\n\n{told}")
    if found.rerun:
        names = [(s.name, s.label) for s in found.rerun]
        blocks.append(
            Table(
                ("Stage", "What"), names, f"{stages(len(names))} to run: {shorten(groups(found.rerun), LINE)}"
            )
        )
    blocks += _plans(found)
    return comment(MARKER, blocks)


def _plans(found: Difference) -> list[str | Table]:
    """The digests that a reviewer agrees to: for people, and for the job that applies what was merged."""
    if not found.plans:
        return []
    held = dict(list(found.plans.items())[:MOST_PLANS])
    # No text of a spec ends the HTML comment, and none of it is seen.
    hidden = json.dumps(held).replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
    rows = list(held.items())
    return [Table(("Spec", "Plan"), rows, "Plans to review"), f"<!-- c2f-spec:plans {hidden} -->"]


def _overview(found: Difference) -> Table:
    """A row a spec; columns that say nothing of any are left out."""
    rows = []
    for spec in found.specs:
        hours = total(s.gpu_hours for s in spec.rerun)
        added = span(hours) if hours.high else ""
        rows.append((spec.file, str(len(spec.rerun)), added, str(len(spec.reused)), spec.problem))
    told = [i for i in range(len(HEADS)) if any(row[i] for row in rows)]
    return Table(tuple(HEADS[i] for i in told), [tuple(row[i] for i in told) for row in rows])
