"""The findings of all tools: a `Diagnostic` at a place of a file, a `Problem` at a location of a spec, a `HealthCheck` of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn, Protocol

from c2f_spec.errors import InvalidSpec, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Loc = tuple[str | int, ...]
"""A location in a document: field names and list indices from the root."""
EXCERPT = 160
"""Most characters of a source line that a message shows."""
MOST_VARIANTS = 3
"""Most variants that a note names."""
MOST_DIAGNOSTICS = 50
"""Most diagnostics of one spec: more of them are one mistake, or malice."""


class Problem(NamedTuple):
    """A finding of a check at a location of the spec."""

    code: str
    loc: Loc
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    at_key: bool = False
    """The caret belongs under the key instead of the value."""


@dataclass(frozen=True)
class Text:
    """The content of a file, and the path by which messages name it."""

    path: str
    content: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """Lines as YAML 1.2 counts them: fewer characters end a line than for `splitlines`."""
        return self.content.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def line(self, number: int) -> str:
        """Return the line with a 1-based number; `""` beyond the end."""
        return self.lines[number - 1] if number <= len(self.lines) else ""


class Place(NamedTuple):
    """A range in a file: 1-based line and column, and width in characters."""

    text: Text
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.text.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem at one place, and how to solve it. `codes.toml` explains each code."""

    code: str
    place: Place
    message: str
    hint: str = ""
    severity: Literal["error", "warning", "note"] = "error"
    notes: tuple[str, ...] = ()
    """How the value came to its place: inherited, from a parameter, by a sweep, by `--set`."""

    def __str__(self) -> str:
        """Return `path:line:col: message [code]`, the source line with a caret, notes, and the hint."""
        before, marked, after = map(sanitize, self.excerpt())
        gutter = f"{self.place.line:>4} | "
        prefix = "" if self.severity == "error" else f"{self.severity}: "
        out = [
            f"{sanitize(str(self.place))}: {prefix}{sanitize(self.message)} [{self.code}]",
            f"{gutter}{before}{marked}{after}",
            f"{'| ':>{len(gutter)}}{' ' * _columns(before)}{'^' * max(1, _columns(marked))}",
        ]
        out += [f"  {sanitize(note)}" for note in self.notes]
        if self.hint:
            out.append(f"  hint: {sanitize(self.hint)}")
        return "\n".join(out)

    def excerpt(self) -> tuple[str, str, str]:
        """Return the source line before the place, at it and after it; a long line is cut around the place."""
        line, start = self.place.text.line(self.place.line), self.place.column - 1
        end = start + max(1, self.place.width)
        before, marked, after = line[:start], line[start:end], line[end:]
        if len(line) <= EXCERPT:
            return before, marked, after
        before = before if len(before) <= EXCERPT // 2 else f"...{before[-EXCERPT // 2 :]}"
        marked, after = marked[: EXCERPT // 2], marked[EXCERPT // 2 :] + after
        room = max(0, EXCERPT - len(before) - len(marked))
        return before, marked, after if len(after) <= room else f"{after[:room]}..."


def _columns(text: str) -> int:
    """Return the columns of a terminal that `text` takes: Chinese characters take two."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text
    )


class SpecErrors(InvalidSpec):
    """All diagnostics of a spec, sorted by file and line."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = sorted(
            diagnostics, key=lambda d: (d.place.text.path, d.place.line, d.place.column, d.message)
        )
        super().__init__("invalid")

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)


class Located(Protocol):
    """A document or tree that knows the place of each of its keys and values."""

    @property
    def keys(self) -> Mapping[Loc, Place]: ...

    @property
    def values(self) -> Mapping[Loc, Place]: ...


class Problems:
    """Collect diagnostics, so that one run reports all of them."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def add(self, place: Place, code: str, message: str, hint: str = "", notes: Iterable[str] = ()) -> None:
        if len(self.diagnostics) < MOST_DIAGNOSTICS:
            self.diagnostics.append(Diagnostic(code, place, message, hint, notes=tuple(notes)))

    def add_at_key(self, tree: Located, loc: Loc, code: str, message: str, hint: str = "") -> None:
        self.add(tree.keys.get(loc, tree.values[loc]), code, message, hint)

    def raise_any(self) -> None:
        """Raise `SpecErrors` if there is a diagnostic."""
        if self.diagnostics:
            raise SpecErrors(self.diagnostics)

    def fail(self, place: Place, code: str, message: str, hint: str = "") -> NoReturn:
        """Add a diagnostic after which the spec cannot be processed further, and raise `SpecErrors`."""
        self.diagnostics.append(Diagnostic(code, place, message, hint))
        raise SpecErrors(self.diagnostics)


def dedupe(found: Sequence[tuple[str, Sequence[Diagnostic]]]) -> list[Diagnostic]:
    """Return each diagnostic of a sweep once, with a note that names its variants if not all have it.

    `found` pairs the name of every variant with its diagnostics.
    """
    first: dict[tuple[str, Place, str], Diagnostic] = {}
    variants: dict[tuple[str, Place, str], list[str]] = {}
    for name, diagnostics in found:
        for d in diagnostics:
            first.setdefault((d.code, d.place, d.message), d)
            variants.setdefault((d.code, d.place, d.message), []).append(name)
    return [_with_variants(d, list(dict.fromkeys(variants[key])), len(found)) for key, d in first.items()]


def _with_variants(diagnostic: Diagnostic, names: list[str], total: int) -> Diagnostic:
    if len(names) == total:
        return diagnostic
    more = ", ..." if len(names) > MOST_VARIANTS else ""
    note = f"in {len(names)} of {total} variants: {', '.join(names[:MOST_VARIANTS])}{more}"
    return replace(diagnostic, notes=(*diagnostic.notes, note))


class HealthCheck(NamedTuple):
    """The result of one check of `doctor`."""

    level: Literal["ok", "warning", "error"]
    subject: str
    """The checked thing, for example `queue c2f-a800`."""
    detail: str
    remedy: str = ""
    """A command to run or a field to set."""


def ok(subject: str, detail: str) -> HealthCheck:
    return HealthCheck("ok", subject, detail)


def warning(subject: str, detail: str, remedy: str) -> HealthCheck:
    """Return a result that may work, or that could not be checked from this machine."""
    return HealthCheck("warning", subject, detail, remedy)


def error(subject: str, detail: str, remedy: str) -> HealthCheck:
    """Return a result with which `apply`, or its stages, would fail."""
    return HealthCheck("error", subject, detail, remedy)
