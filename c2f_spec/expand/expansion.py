"""A spec → its variants. One without inheritance, parameters and sweep is its own only variant, at no cost.

The language itself is imported when a spec uses it: most do not, and `validate` would wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.files import DISK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from c2f_spec.document import Document, Loc
    from c2f_spec.files import Files

BUILDING = ("extends", "template", "with")
MEANT = {
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
    differs: tuple[tuple[str, str], ...] = ()
    """What the sweep set: paths and values, for people."""
    factor: tuple[Loc, ...] | None = None
    """An ablation may differ from the base here, and must; empty for the base itself."""


class Expansion(NamedTuple):
    """`name` is the spec's own, before a sweep names its variants."""

    name: str
    variants: tuple[Variant, ...]


def expand(document: Document, path: Path, arguments: Sequence[str] = (), files: Files = DISK) -> Expansion:
    """The variants of a spec that was read from `path` of `files`, with what `--set` says. Raises `SpecErrors`."""
    if not arguments and not any(name in document.data for name in (*LANGUAGE, *MEANT)):
        name = name_of(document.data)
        return Expansion(name, (Variant(name, document),))
    from c2f_spec.expand.variants import expand_all

    return expand_all(document, path, arguments, files)


def name_of(data: dict[str, object]) -> str:
    """The name that a spec gives itself."""
    name = data.get("name")
    return name if isinstance(name, str) else "spec"


def enclosing(path: Path) -> Path | None:
    """The nearest folder above `path` with a `.git`."""
    return next((f for f in path.resolve().parents if (f / ".git").exists()), None)
