"""Policy files → levels, each with the document that messages point into."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.document import Document, read
from c2f_spec.errors import Diagnostic, SpecErrors
from c2f_spec.fields import every_field
from c2f_spec.lookalikes import suggest
from c2f_spec.parse.experiment import parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from c2f_spec.document import Loc
    from c2f_spec.spec.policy import Policy

DEEPEST = 5
"""Levels, one above the other: a site, a group, a project and a little more."""


class Level(NamedTuple):
    """One file of rules."""

    policy: Policy
    document: Document

    def where(self, loc: Loc) -> str:
        """`policies/site.yaml:7:5`, of a rule."""
        return str(self.document.place(loc))


def load_policy(path: Path, shown: Callable[[Path], str] = str) -> list[Level]:
    """The policy and all above it, the highest last. Raises `SpecErrors` at what is wrong in any of them.

    `shown` is what messages call a path.
    """
    levels: list[Level] = []
    while True:
        document = read(path, shown(path))
        policy = parse_policy(document)
        _refuse_unknown_fields(policy, document)
        levels.append(Level(policy, document))
        if policy.above is None:
            return levels
        if len(levels) == DEEPEST:
            message = f"more than {DEEPEST} policies above each other; are they in a circle?"
            place = document.place(("above",))
            raise SpecErrors([Diagnostic("C2F471", place, message, "remove `above` from the highest")])
        path = path.parent / policy.above


def _refuse_unknown_fields(policy: Policy, document: Document) -> None:
    known = {".".join(found.path) for found in every_field()}
    wrong = [path for path in policy.fixed if path not in known]
    if wrong:
        raise SpecErrors([_unknown(path, known, document) for path in wrong])


def _unknown(path: str, known: set[str], document: Document) -> Diagnostic:
    place = document.place(("fixed", path), key=True)
    return Diagnostic("C2F472", place, f"no field `{path}` in a spec", suggest(path, sorted(known)))
