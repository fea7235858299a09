"""What is derived once for all variants of a plan: identities of sections, digests of code, places, stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import canonical
from c2f_spec.plan.placement import decided_by, placements
from c2f_spec.spec.base import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from c2f_spec.plan.code import Code
    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.base import SpecModel
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.handoff import Placement

Families = dict[str, tuple[str, ...]]
"""Kinds of the runtime that a stage names, by folder: what of it the stage can reach."""


@dataclass(slots=True)
class Made:
    """What was made for other variants of the same plan: a thousand variants share most of it.

    Models and what is derived of them are known by their `id`, and kept, so that no other object gets the same one.
    """

    source: Code
    accepted: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict)
    """What of `accepted` some stage's code is."""

    derived: dict[tuple[str, int], tuple[SpecModel, dict[str, Any]]] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    """Of what was derived."""
    codes: dict[tuple[Any, ...], dict[str, str]] = field(default_factory=dict)
    stages: dict[tuple[Any, ...], Stage] = field(default_factory=dict)
    placed: dict[tuple[int, ...], tuple[Experiment, dict[str, Placement]]] = field(default_factory=dict)

    def places(self, e: Experiment, environment: Environment) -> dict[str, Placement]:
        """`placements`, once for variants that agree in what decides them."""
        at = tuple(map(id, decided_by(e, environment)))
        if at not in self.placed:
            self.placed[at] = (e, placements(e, environment))
        return self.placed[at][1]

    def of(self, model: SpecModel, derive: Callable[[Any], dict[str, Any]] = identity) -> dict[str, Any]:
        """`derive(model)`, once."""
        at = (derive.__name__, id(model))
        if at not in self.derived:
            self.derived[at] = (model, derive(model))
            self.kept.add(id(self.derived[at][1]))
        return self.derived[at][1]

    def code(self, kind: str, families: Families) -> dict[str, str]:
        at = (kind, *families.items())
        if at not in self.codes:
            self.codes[at] = self._accepted(self.source.of(kind, families))
        return self.codes[at]

    def _accepted(self, code: dict[str, str]) -> dict[str, str]:
        """Keyed by what was declared to compute the same, back to the first that did."""
        found = {}
        for path, digest in code.items():
            seen = {digest}
            while (older := self.accepted.get(digest)) and older not in seen:
                self.used[digest] = older
                digest = older  # noqa: PLW2901
                seen.add(digest)
            found[path] = digest
        return found

    def mark(self, value: Any) -> Any:
        """Equal for equal values, and cheap for what was derived here."""
        return id(value) if id(value) in self.kept else canonical(value)
