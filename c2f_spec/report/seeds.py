"""Variants that differ in nothing but their seed are one row of every table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.keys import content_key
from c2f_spec.spec.base import identity

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Variant


class Group(NamedTuple):
    """One experiment, with the variants that run it with one seed each."""

    name: str
    variants: tuple[Variant, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(v.experiment.seed for v in self.variants)


def groups(plan: Plan) -> tuple[Group, ...]:
    """In the order of the plan. A seed that is there twice begins another group: it is no second draw."""
    found: dict[str, list[list[Variant]]] = {}
    order: list[list[Variant]] = []
    for variant in plan.variants:
        spec = identity(variant.experiment)
        spec.pop("seed", None)
        open_ = found.setdefault(content_key(spec), [])
        seed = variant.experiment.seed
        place = next((g for g in open_ if seed not in (v.experiment.seed for v in g)), None)
        if place is None:
            place = []
            open_.append(place)
            order.append(place)
        place.append(variant)
    return tuple(Group(_name(g), tuple(g)) for g in order)


def named(found: tuple[Group, ...], name: str) -> Group | None:
    """By the group's name, or that of a variant that is alone in its group."""
    return next(
        (g for g in found if name in (g.name, *(v.name for v in g.variants[: len(g.variants) == 1]))), None
    )


def _name(variants: list[Variant]) -> str:
    """What their names have in common without the seed; of one variant its own."""
    if len(variants) == 1:
        return variants[0].name
    bare = {re.sub(rf"-s{v.experiment.seed}$", "", v.name) for v in variants}
    return bare.pop() if len(bare) == 1 else variants[0].name
