"""Load policy files, each with the document that messages point into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.errors import InvalidSpec
from c2f_spec.language.document import Document, read_document
from c2f_spec.language.field_help import every_field
from c2f_spec.language.parse import parse_policy
from c2f_spec.language.suggestions import suggest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from c2f_spec.diagnostics.diagnostic import Loc
    from c2f_spec.spec.policy import Policy


Outcome = Literal["kept", "broken", "unchecked"]


class RuleResult(NamedTuple):
    """The outcome of one rule for one plan."""

    outcome: Outcome
    """`unchecked`: what the rule needs was not read, such as the ledger by an offline plan."""
    rule: str
    """Its path in the policy: `limits.plan.gpu_hours`."""
    where: str
    """File, line and column of the rule."""
    detail: str
    """The value in the plan, and the limit."""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.detail} [{self.rule}]"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


DEEPEST = 5
"""Levels, one above the other: a site, a group, a project and a little more."""


class Level(NamedTuple):
    """One file of rules."""

    policy: Policy
    document: Document

    def where(self, loc: Loc) -> str:
        """Return the place of a rule, as `policies/site.yaml:7:5`."""
        return str(self.document.place(loc))


def load_policy(path: Path, root: Path, shown: Callable[[Path], str] = str) -> list[Level]:
    """Return the policy and all files above it, the highest last. Raises `SpecErrors` for invalid files.

    `root` is the repository of the specs; `shown` is what messages call a path.
    """
    levels: list[Level] = []
    while True:
        level = _level(path, shown(path)) if _inside(path, root) else _outside(path, shown(path))
        levels.append(level)
        if level.policy.above is None:
            return levels
        if len(levels) == DEEPEST:
            message = f"more than {DEEPEST} policies above each other; are they in a circle?"
            place = level.document.place(("above",))
            raise SpecErrors([Diagnostic("C2F471", place, message, "remove `above` from the highest")])
        path = path.parent / level.policy.above


def _level(path: Path, shown: str) -> Level:
    document = read_document(path, shown)
    policy = parse_policy(document)
    _refuse_unknown_fields(policy, document)
    return Level(policy, document)


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _outside(path: Path, shown: str) -> Level:
    """Read a file outside the repository without showing its content, which the author of a spec may not be allowed to read."""
    if not path.is_file():
        raise InvalidSpec(f"{shown}: no such file", hint="the environment's `policy` names it", file=shown)
    try:
        return _level(path, shown)
    except InvalidSpec:
        message = f"{shown} is not a policy, or a wrong one"
        hint = "it lies outside of the repository, so what it holds is not shown here"
        raise InvalidSpec(message, hint=hint, code="C2F474", file=shown) from None


def _refuse_unknown_fields(policy: Policy, document: Document) -> None:
    known = {".".join(found.path) for found in every_field()}
    wrong = [path for path in policy.fixed if path not in known]
    if wrong:
        raise SpecErrors([_unknown(path, known, document) for path in wrong])


def _unknown(path: str, known: set[str], document: Document) -> Diagnostic:
    place = document.place(("fixed", path), key=True)
    return Diagnostic("C2F472", place, f"no field `{path}` in a spec", suggest(path, sorted(known)))
