"""Whether an ablation is one: it differs from the base in its factor, and in nothing else.

Asked of the validated experiments, because that is where defaults, short forms and what follows from a field are
resolved: a value that is written differently and means the same is no ablation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import Diagnostic
from c2f_spec.keys import flatten
from c2f_spec.spec.base import SpecModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.language.document import Loc
    from c2f_spec.language.variant import Variant
    from c2f_spec.spec.experiment import Experiment


def check_ablations(variants: Sequence[Variant], experiments: Sequence[Experiment]) -> list[Diagnostic]:
    """What is wrong with the ablations among `variants`."""
    pairs = list(zip(variants, experiments, strict=True))
    bases = {e.seed: e for v, e in pairs if v.factor == ()}
    if not bases:
        return []
    first = next(iter(bases.values()))
    return [d for v, e in pairs if v.factor for d in _judged(v, e, bases.get(e.seed, first), v.factor)]


def _judged(
    variant: Variant, experiment: Experiment, base: Experiment, factor: tuple[Loc, ...]
) -> list[Diagnostic]:
    changed = _changed(experiment, base)
    named = {path for path in changed if any(_within(path, loc) for loc in factor)}
    document = variant.document
    place, notes = document.place(factor[0]), document.notes(factor[0])
    others = sorted(set(changed) - named)
    if others:
        message = f"`{variant.name}` also differs from the base in {', '.join(f'`{p}`' for p in others[:3])}"
        hint = "an ablation changes one factor; say the rest under `sweep.variants`"
        return [Diagnostic("C2F552", place, message, hint, notes=notes)]
    if not named:
        message = f"`{variant.name}` does not differ from the base"
        return [Diagnostic("C2F551", place, message, "give another value, or remove it", notes=notes)]
    return []


def _within(path: str, loc: Loc) -> bool:
    prefix = ".".join(map(str, loc))
    return path == prefix or path.startswith(f"{prefix}.") or prefix.startswith(f"{path}.")


def _changed(one: Experiment, other: Experiment) -> list[str]:
    """Dotted paths of leaves that differ, but for the name, which every variant has of its own."""
    paths: list[str] = []
    for name in type(one).model_fields:
        a, b = getattr(one, name), getattr(other, name)
        if name == "name" or a is b or a == b:
            continue
        mine, theirs = _leaves(name, a), _leaves(name, b)
        paths += [p for p in {**mine, **theirs} if mine.get(p) != theirs.get(p)]
    return paths


def _leaves(name: str, value: Any) -> dict[str, Any]:
    return flatten(value.model_dump() if isinstance(value, SpecModel) else value, name)
