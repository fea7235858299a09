"""A spec → its variants. One without inheritance, parameters and sweep is its own only variant, at no cost.

The language itself is imported when a spec uses it: most do not, and `validate` would wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from c2f_spec.language.document import Document, Loc


BUILDING = ("extends", "template", "with")
MISSPELLED = {
    "extend": "extends", "inherits": "extends", "base": "extends", "templates": "template", "param": "params",
    "parameters": "params", "sweeps": "sweep", "matrix": "sweep.matrix", "zip": "sweep.zip", "ablate": "sweep.ablate",
    "variants": "sweep.variants", "seeds": "sweep.seeds",
}  # fmt: skip
"""What people write. Told before anything else, because without it the rest of the spec makes no sense."""
LANGUAGE = (*BUILDING, "params", "sweep")


class Variant(NamedTuple):
    """One spec, complete."""

    name: str
    document: Document
    differences: tuple[tuple[str, str], ...] = ()
    """What the sweep set: paths and values, for people."""
    factor: tuple[Loc, ...] | None = None
    """An ablation may differ from the base here, and must; empty for the base itself."""


class Expansion(NamedTuple):
    """`name` is the spec's own, before a sweep names its variants."""

    name: str
    variants: tuple[Variant, ...]


def spec_name(data: dict[str, object]) -> str:
    """The name that a spec gives itself."""
    name = data.get("name")
    return name if isinstance(name, str) else "spec"
