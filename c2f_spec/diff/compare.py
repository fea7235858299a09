"""Compare two sides: fields, variants that were renamed, stages that run again and stages that do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.diff.field_changes import Field, differing_fields
from c2f_spec.plan.explain import Change, compare_preimages
from c2f_spec.plan.pins import unpinned_names
from c2f_spec.plan.plan_file import environment_differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from c2f_spec.diff.sides import Side
    from c2f_spec.plan.model import Plan, Stage, Variant

LEAST_SIMILARITY = 0.5
"""Two variants of one spec with so much of their stages in common are one that was renamed and changed."""


class SideVariant(NamedTuple):
    """A variant of a side."""

    file: str
    variant: Variant


@dataclass(slots=True)
class Pairs:
    """The variants of one spec file, on both sides, on the new side alone and on the old side alone."""

    both: list[tuple[SideVariant, SideVariant]] = field(default_factory=list)
    came: list[SideVariant] = field(default_factory=list)
    gone: list[SideVariant] = field(default_factory=list)


@dataclass(frozen=True)
class SpecDiff:
    """The changes of one spec file."""

    file: str
    was: str = ""
    """Another name of the file before, if it was renamed."""
    fields: tuple[tuple[Field, tuple[str, ...]], ...] = ()
    """Each with the variants that have it."""
    reasons: tuple[Change, ...] = ()
    """Code, data sets and weights."""
    compared: int = 0
    """Variants on both sides."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    rerun: tuple[Stage, ...] = ()
    reused: tuple[Stage, ...] = ()
    place: tuple[str, ...] = ()
    """The fields of the environment that differ: they are in no key, but in the digest of a reviewed plan."""
    problem: str = ""
    """Why it cannot be compared."""

    @property
    def is_change(self) -> bool:
        told = (
            self.was,
            self.fields,
            self.reasons,
            self.added,
            self.removed,
            self.renamed,
            self.rerun,
            self.place,
            self.problem,
        )
        return any(told)


@dataclass(frozen=True)
class Difference:
    """The difference between two sides."""

    old: str
    new: str
    specs: tuple[SpecDiff, ...]
    unchanged: int
    """Spec files for which nothing changes."""
    neither: tuple[str, ...] = ()
    """Spec files that compile on neither side, for the same reason."""
    rerun: tuple[Stage, ...] = ()
    """Stages that only the new side has, each once."""
    reused: tuple[Stage, ...] = ()
    """Stages that both sides have, of the specs that change."""
    dropped: tuple[Stage, ...] = ()
    """Stages that only the old side has."""
    names: dict[str, str] = field(default_factory=dict, compare=False)
    plans: dict[str, str] = field(default_factory=dict)
    """Digest of the new side's plan, by spec file that changes; a plan of names without a pin has none to review."""

    @property
    def shared(self) -> tuple[Change, ...]:
        """Return reasons of more than one spec: mostly code, which each spec would repeat."""
        counts: dict[Change, int] = {}
        for spec in self.specs:
            for change in spec.reasons:
                counts[change] = counts.get(change, 0) + 1
        return tuple(change for change, n in counts.items() if n > 1)

    @property
    def shared_place(self) -> tuple[str, ...]:
        """Return what differs in the environment of more than one spec."""
        lines = [line for spec in self.specs for line in spec.place]
        return tuple(line for line in dict.fromkeys(lines) if lines.count(line) > 1)

    def name_of(self, key: str) -> str:
        return self.names.get(key, key[:10])


def compare(old: Side, new: Side) -> Difference:
    """Match specs by file, variants by name, and the rest by their keys, so that a name may change."""
    before, after = old.stages, new.stages
    pairs, gone, came = _matched(old, new)
    files: dict[str, Pairs] = {}
    for a, b in pairs:
        files.setdefault(b.file, Pairs()).both.append((a, b))
    for b in came:
        files.setdefault(b.file, Pairs()).came.append(b)
    for a in gone:
        if a.file not in new.broken:
            files.setdefault(a.file, Pairs()).gone.append(a)
    found = [_spec(file, files[file], old, new, before) for file in sorted(files)]
    found += [SpecDiff(f, problem=why) for f, why in new.broken.items() if old.broken.get(f) != why]
    told = tuple(s for s in found if s.is_change)
    reused = {s.key: s for spec in told for s in spec.reused}
    return Difference(
        old.name,
        new.name,
        told,
        len(found) - len(told),
        tuple(f for f, why in new.broken.items() if old.broken.get(f) == why),
        tuple(s for k, s in after.items() if k not in before),
        tuple(reused.values()),
        tuple(s for k, s in before.items() if k not in after),
        {k: s.name for k, s in {**before, **after}.items()},
        {
            s.file: new.plans[s.file].digest
            for s in told
            if s.file in new.plans and not unpinned_names(new.plans[s.file])
        },
    )


def _matched(
    old: Side, new: Side
) -> tuple[list[tuple[SideVariant, SideVariant]], list[SideVariant], list[SideVariant]]:
    """Return pairs of variants, and the variants without a partner on each side."""
    mine, theirs = _variants(old), _variants(new)
    pairs = [(mine.pop(at), theirs.pop(at)) for at in list(theirs) if at in mine]
    by_keys: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for at, a in mine.items():
        by_keys.setdefault(tuple(sorted(a.variant.stages)), []).append(at)
    for at, b in list(theirs.items()):
        same = by_keys.get(tuple(sorted(b.variant.stages)), [])
        if same:
            same.sort(key=lambda m: m[0] != b.file)
            pairs.append((mine.pop(same.pop(0)), theirs.pop(at)))
    for at, b in list(theirs.items()):
        near = [(m, _similarity(a.variant, b.variant)) for m, a in mine.items() if a.file == b.file]
        best = max(near, key=lambda n: n[1], default=None)
        if best and best[1] >= LEAST_SIMILARITY:
            pairs.append((mine.pop(best[0]), theirs.pop(at)))
    return pairs, list(mine.values()), list(theirs.values())


def _variants(side: Side) -> dict[tuple[str, str], SideVariant]:
    return {(f, v.name): SideVariant(f, v) for f, plan in side.plans.items() for v in plan.variants}


def _similarity(a: Variant, b: Variant) -> float:
    mine, theirs = set(a.stages), set(b.stages)
    return len(mine & theirs) / max(1, len(mine | theirs))


def _spec(file: str, found: Pairs, old: Side, new: Side, before: dict[str, Stage]) -> SpecDiff:
    pairs, came, gone = found.both, found.came, found.gone
    if all(a.file == b.file and a.variant is b.variant for a, b in pairs) and not came and not gone:
        return SpecDiff(file)
    fields: dict[str, tuple[Field, list[str]]] = {}
    reasons: dict[Change, None] = {}
    for a, b in pairs:
        for field_ in differing_fields(a.variant.experiment, b.variant.experiment):
            fields.setdefault(str(field_), (field_, []))[1].append(b.variant.name)
        reasons |= dict.fromkeys(_reasons(a, b, old.plans[a.file], new.plans[b.file]))
    mine = {k: new.plans[file].stage(k) for _, b in pairs for k in b.variant.stages}
    mine |= {k: new.plans[file].stage(k) for b in came for k in b.variant.stages}
    elsewhere = {a.file for a, b in pairs if a.file != b.file}
    return SpecDiff(
        file,
        was=", ".join(sorted(elsewhere)),
        fields=tuple((f, tuple(names)) for f, names in fields.values()),
        reasons=tuple(reasons),
        compared=len(pairs),
        added=tuple(b.variant.name for b in came),
        removed=tuple(a.variant.name for a in gone),
        place=tuple(_place({(a.file, file) for a, _ in pairs}, old, new)),
        renamed=tuple((a.variant.name, b.variant.name) for a, b in pairs if a.variant.name != b.variant.name),
        rerun=tuple(s for k, s in mine.items() if k not in before),
        reused=tuple(s for k, s in mine.items() if k in before),
    )


def _place(files: Iterable[tuple[str, str]], old: Side, new: Side) -> Iterator[str]:
    for mine, theirs in files:
        before, after = old.plans[mine], new.plans[theirs]
        if before.environment != after.environment or before.environment_name != after.environment_name:
            yield from environment_differences(before, after)


def _reasons(a: SideVariant, b: SideVariant, old: Plan, new: Plan) -> Iterator[Change]:
    """Yield changes that no field says: code, data sets and weights of stages of the same label."""
    if a.variant.stages == b.variant.stages:
        return
    before = {s.label: s for s in map(old.stage, a.variant.stages)}
    for stage in map(new.stage, b.variant.stages):
        other = before.get(stage.label)
        if other and other.key != stage.key:
            yield from (
                c
                for c in _hashable(compare_preimages(other.preimage, stage.preimage))
                if c.part in ("code", "data", "models")
            )


def _hashable(found: Iterable[Change]) -> Iterator[Change]:
    yield from (
        c for c in found if not isinstance(c.new, (dict, list)) and not isinstance(c.old, (dict, list))
    )


def equivalent(difference: Difference) -> bool:
    """Return whether every variant of each side has one of the other with the same stages."""
    return (
        not any(s.rerun or s.added or s.removed or s.problem for s in difference.specs)
        and not difference.dropped
    )
