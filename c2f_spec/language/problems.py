"""Words of messages: near misses, values on one line, and the list of what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from c2f_spec.diagnostics.diagnostic import Diagnostic, Place, SpecErrors
from c2f_spec.language.suggestions import closest_match, list_choices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from c2f_spec.language.document import Loc


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean`, or the list if it is short enough to read."""
    names = list(known)
    near = closest_match(word, names)
    return f"did you mean `{near}`?" if near else list_choices(names) if len(names) <= 20 else ""


def format_value(value: Any) -> str:
    """A value on one short line: scalars as they are, small maps and lists in flow style."""
    text = _flow(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _flow(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    return str(value)


MOST = 50
"""So many problems are told of one spec: more of them are one mistake, or malice."""


class Located(Protocol):
    """A document or tree that knows the place of each of its keys and values."""

    @property
    def keys(self) -> Mapping[Loc, Place]: ...

    @property
    def values(self) -> Mapping[Loc, Place]: ...


class Problems:
    """Collects diagnostics, so that one run tells all of them."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def add(self, place: Place, code: str, message: str, hint: str = "", notes: Iterable[str] = ()) -> None:
        if len(self.diagnostics) < MOST:
            self.diagnostics.append(Diagnostic(code, place, message, hint, notes=tuple(notes)))

    def add_at_key(self, tree: Located, loc: Loc, code: str, message: str, hint: str = "") -> None:
        """At the key of a location."""
        self.add(tree.keys.get(loc, tree.values[loc]), code, message, hint)

    def raise_any(self) -> None:
        """Raises `SpecErrors` if there is one."""
        if self.diagnostics:
            raise SpecErrors(self.diagnostics)

    def fail(self, place: Place, code: str, message: str, hint: str = "") -> NoReturn:
        """One more, and no sense in going on."""
        self.diagnostics.append(Diagnostic(code, place, message, hint))
        raise SpecErrors(self.diagnostics)
