"""Words of messages: near misses, values on one line, and the list of what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from c2f_spec.diagnostics.diagnostic import Diagnostic, Place, SpecErrors
from c2f_spec.language.suggestions import close, one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from c2f_spec.language.document import Loc


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean`, or the list if it is short enough to read."""
    names = list(known)
    near = close(word, names)
    return f"did you mean `{near}`?" if near else one_of(names) if len(names) <= 20 else ""


def shown(value: Any) -> str:
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
        self.found: list[Diagnostic] = []

    def at(self, place: Place, code: str, message: str, hint: str = "", notes: Iterable[str] = ()) -> None:
        if len(self.found) < MOST:
            self.found.append(Diagnostic(code, place, message, hint, notes=tuple(notes)))

    def key(self, tree: Located, loc: Loc, code: str, message: str, hint: str = "") -> None:
        """At the key of a location."""
        self.at(tree.keys.get(loc, tree.values[loc]), code, message, hint)

    def raise_any(self) -> None:
        """Raises `SpecErrors` if there is one."""
        if self.found:
            raise SpecErrors(self.found)

    def stop(self, place: Place, code: str, message: str, hint: str = "") -> NoReturn:
        """One more, and no sense in going on."""
        self.found.append(Diagnostic(code, place, message, hint))
        raise SpecErrors(self.found)
