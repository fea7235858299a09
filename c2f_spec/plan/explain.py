"""Explain why two keys differ: the leaves of their preimages, as the author of a spec writes the fields."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic_core import PydanticUndefined

from c2f_spec.errors import shorten
from c2f_spec.keys import canonical_json, flatten
from c2f_spec.spec.base import SpecModel, identity
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


Part = Literal["spec", "data", "models", "code", "inputs"]
PARTS: tuple[Part, ...] = ("spec", "data", "models", "code", "inputs")
"""The parts of a preimage, in the order in which changes are listed: those that an author made come first."""
SPEC_PATHS = {
    "dataset": "data.train",
    "limit": "data.limit",
    "render_seed": "data.render_seed",
    "checkpoint": "evaluate.checkpoints",
    "baseline": "evaluate.baseline",
    "import": "evaluate.import",
    "train_range": "evaluate.score_space",
}
"""Names in a preimage that are not the field's own; `evaluate` and `prepare` say one cell of a matrix."""
ABSENT = object()
"""No such leaf: the field is at its default, or the part is not there."""
MOST_DESCRIBED = 3
"""Most changes in one line."""


class Change(NamedTuple):
    """One leaf that differs between two preimages."""

    part: Part
    path: str
    """Dotted, without the part: a field, a file of code, a role of an input."""
    old: Any
    new: Any


def compare_preimages(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Return the changes from one preimage to another of the same kind of stage."""
    return compare_leaves(flatten(old), flatten(new), evaluates=new.get("stage") == "evaluate")


def compare_leaves(before: dict[str, Any], after: dict[str, Any], *, evaluates: bool = False) -> list[Change]:
    """Return the changes between the leaves of two preimages, by path."""
    found = []
    before, after = _with_defaults(before, after), _with_defaults(after, before)
    for path in dict.fromkeys((*after, *before)):
        old, new = before.get(path, ABSENT), after.get(path, ABSENT)
        part, _, rest = path.partition(".")
        if old == new or part not in PARTS or not rest:
            continue
        if part == "models" and ABSENT in (old, new):
            continue  # another model, which the spec says
        if part == "data":
            if before.get("data.name") != after.get("data.name"):
                continue  # another data set, which the spec says
            rest = str(after["data.name"])
        found.append(Change(part, _spec_path(rest, evaluates) if part == "spec" else rest, old, new))
    return sorted(found, key=lambda c: (PARTS.index(c.part), c.path))


def _with_defaults(mine: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return leaves with the defaults of sections that only the other key has, and without maps that are filled there.

    A section at its default is in no key: beside one that is not, its other fields have not changed.
    """
    if mine.keys() == other.keys():
        return mine
    found = dict(mine)
    for path in other.keys() - mine.keys():
        above = path.rpartition(".")[0]
        while above and above not in _sections():
            above = above.rpartition(".")[0]
        section = _sections().get(above, {})
        parent = above.rpartition(".")[0]
        has = above and any(p == parent or p.startswith(f"{parent}.") for p in mine)
        if has and path in section and not any(p == above or p.startswith(f"{above}.") for p in mine):
            found |= section
    inner = {p for path in other for p in _above(path)}
    return {p: v for p, v in found.items() if not (v == {} and p in inner)}


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _spec_path(path: str, evaluates: bool) -> str:
    head, dot, rest = path.partition(".")
    if evaluates and head == "dataset":
        return "evaluate.datasets"
    return f"{SPEC_PATHS.get(head, head)}{dot}{rest}"


def describe_changes(found: Sequence[Change], name_of: Callable[[str], str]) -> str:
    """Return one line: the first few changes, and how many more there are. `name_of` names the stage of an input's key."""
    lines = list(dict.fromkeys(describe_change(c, name_of) for c in found if c.part != "inputs"))
    inputs = [name_of(c.new) for c in found if c.part == "inputs" and isinstance(c.new, str)]
    if inputs and len(lines) < MOST_DESCRIBED:
        lines.append(f"input changed: {', '.join(dict.fromkeys(inputs))}")
    more = len(lines) - MOST_DESCRIBED
    return "; ".join(lines[:MOST_DESCRIBED]) + (f"; and {more} more" if more > 0 else "")


def describe_change(change: Change, name_of: Callable[[str], str]) -> str:
    """Return a change as `grpo.beta 0.1 -> 0.2`, `code changed: runtime/rewards/score.py` or `input model: sft-… -> sft-…`."""
    part, path, old, new = change
    if part == "code":
        verb = "added" if old is ABSENT else "no longer used" if new is ABSENT else "changed"
        return f"code {verb}: {path}"
    if part == "inputs":
        return f"input {path}: {_stage(old, name_of)} -> {_stage(new, name_of)}"
    if part in ("data", "models"):
        return f"{'data set' if part == 'data' else 'model'} {path} {_cut(old)} -> {_cut(new)}"
    return f"{path} {format_value(old, path)} -> {format_value(new, path)}"


def _stage(key: Any, name_of: Callable[[str], str]) -> str:
    return "none" if key is ABSENT else name_of(key)


def _cut(value: Any) -> str:
    return "none" if value is ABSENT else re.sub(r"^([0-9a-f]{10})[0-9a-f]{54}$", r"\1", str(value))


def format_value(value: Any, path: str = "") -> str:
    """Return a value as a spec has it, shortened; an absent leaf as the default of its field."""
    if value is ABSENT:
        default = defaults().get(path, ABSENT)
        return "none" if default is ABSENT else format_value(default)
    if value is None:
        return "none"
    if isinstance(value, float):
        return (
            str(int(value))
            if value.is_integer() and abs(value) < 1e15
            else re.sub(r"e([+-]?)0*(\d)", r"e\1\2", repr(value)).replace("e+", "e")
        )
    if isinstance(value, str):
        return shorten(value) if value else '""'
    if isinstance(value, (list, tuple)):
        return shorten(f"[{', '.join(format_value(v) for v in value)}]", 60)
    return shorten(canonical_json(value), 60)


@cache
def _sections() -> dict[str, dict[str, Any]]:
    """Return path of a section in a preimage to the leaves that its default has in a key, if any."""
    from c2f_spec.language.field_help import every_field

    found = {}
    for field in every_field():
        default = field.info.get_default(call_default_factory=True)
        if isinstance(default, SpecModel) and (keyed := identity(default)):
            path = f"spec.{'.'.join(field.path)}"
            found[path] = flatten(keyed, path)
    return found


@cache
def defaults() -> dict[str, Any]:
    """Return path of a field to its default, where all members of a union that have the field agree on one."""
    from c2f_spec.language.field_help import every_field

    found: dict[str, Any] = {}
    for field in every_field():
        path = ".".join(field.path)
        default = field.info.get_default(call_default_factory=True)
        value = ABSENT if default is PydanticUndefined else default
        value = "default" if isinstance(value, SpecModel) else value
        found[path] = value if found.get(path, value) == value else ABSENT
    return found


# Why a stage would run: what differs from the nearest stage that is done, down to where the difference began.


class Cause(NamedTuple):
    """A changed leaf and the stage whose key it is in: the stage in question, or one that it needs."""

    stage: Stage
    old: str
    """Key of the stage that it is compared with."""
    change: Change


def causes(stage: Stage, old: str, plan: Plan, objects: ObjectStore) -> list[Cause]:
    """Return the causes from the stored stage `old` of the same kind to `stage`. An input that differs is followed to its leaves."""
    return list(_causes(stage, old, plan, objects, set()))


def _causes(stage: Stage, old: str, plan: Plan, objects: ObjectStore, seen: set[str]) -> Iterator[Cause]:
    before = read_preimage(objects, stage.kind, old)
    if before is None or stage.key in seen:
        return
    seen.add(stage.key)
    found = compare_preimages(before, stage.preimage)
    yield from (Cause(stage, old, c) for c in found if c.part != "inputs")
    for change in found:
        if change.part != "inputs":
            continue
        if ABSENT in (change.old, change.new):
            yield Cause(stage, old, change)
            continue
        inner = plan.stage(change.new)
        if read_preimage(objects, inner.kind, change.old) is None:
            yield Cause(stage, old, change)
        yield from _causes(inner, change.old, plan, objects, seen)


def read_preimage(objects: ObjectStore, kind: str, key: str) -> dict[str, Any] | None:
    """Return the stored preimage of a key, or `None`."""
    return records.read_preimages(objects, kind, [key]).get(key)


def find_stored_key(objects: ObjectStore, kind: str, word: str) -> str | None:
    """Return the key of a stored stage of `kind` by its name or the start of its key; `None` unless exactly one matches."""
    start = word.removeprefix(f"{kind}-")
    names = [n.rsplit("/", 1)[1].removesuffix(".json") for n in objects.names(f"preimages/{kind}")]
    found = [name for name in names if name.startswith(start)]
    return found[0] if len(found) == 1 else None
