"""Every error that a user can cause, with its exit code, and the exit codes of stages.

Two tables that must not be confused, so both live here: `Exit` is what the command `c2f-spec` returns, `StageExit`
what a stage returns to its launcher (DESIGN: "Command line", "Runtime contract").
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from c2f_spec.errors import InvalidSpec, sanitize

if TYPE_CHECKING:
    from collections.abc import Sequence


NAMED = 3
"""So many variants are named in a note."""


def dedupe(found: Sequence[tuple[str, Sequence[Diagnostic]]]) -> list[Diagnostic]:
    """`found` are the findings by variant, of all variants that were looked at."""
    first: dict[tuple[str, Place, str], Diagnostic] = {}
    where: dict[tuple[str, Place, str], list[str]] = {}
    for name, diagnostics in found:
        for d in diagnostics:
            first.setdefault((d.code, d.place, d.message), d)
            where.setdefault((d.code, d.place, d.message), []).append(name)
    return [_counted(d, list(dict.fromkeys(where[key])), len(found)) for key, d in first.items()]


def _counted(diagnostic: Diagnostic, names: list[str], total: int) -> Diagnostic:
    if len(names) == total:
        return diagnostic
    more = ", ..." if len(names) > NAMED else ""
    note = f"in {len(names)} of {total} variants: {', '.join(names[:NAMED])}{more}"
    return replace(diagnostic, notes=(*diagnostic.notes, note))


# What a rule yields.


class Problem(NamedTuple):
    """A finding at a location of the spec."""

    code: str
    loc: tuple[str | int, ...]
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    at_key: bool = False


EXCERPT = 160
"""Most characters of a source line that a message shows."""


@dataclass(frozen=True)
class Text:
    """A file as it was read. `path` is what messages call it."""

    path: str
    content: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """As YAML 1.2 counts them, which is not as `splitlines` does."""
        return self.content.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def line(self, number: int) -> str:
        """1-based; nothing beyond the end."""
        return self.lines[number - 1] if number <= len(self.lines) else ""


class Place(NamedTuple):
    """Where something stands: 1-based line and column, and how many characters it covers."""

    text: Text
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.text.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem at one place, and what to do about it. `c2f_spec/codes.py` tells more of each code."""

    code: str
    place: Place
    message: str
    hint: str = ""
    severity: Literal["error", "warning", "note"] = "error"
    notes: tuple[str, ...] = ()
    """How the value came to where it is used, if not by being written there."""

    def __str__(self) -> str:
        """`path:line:col: message [code]`, the source line with a caret, notes, and the hint."""
        before, marked, after = map(sanitize, self.excerpt())
        gutter = f"{self.place.line:>4} | "
        prefix = "" if self.severity == "error" else f"{self.severity}: "
        out = [
            f"{sanitize(str(self.place))}: {prefix}{sanitize(self.message)} [{self.code}]",
            f"{gutter}{before}{marked}{after}",
            f"{'| ':>{len(gutter)}}{' ' * _cells(before)}{'^' * max(1, _cells(marked))}",
        ]
        out += [f"  {sanitize(note)}" for note in self.notes]
        if self.hint:
            out.append(f"  hint: {sanitize(self.hint)}")
        return "\n".join(out)

    def excerpt(self) -> tuple[str, str, str]:
        """The source line before the place, at it and after it; of a long line, what is near."""
        line, start = self.place.text.line(self.place.line), self.place.column - 1
        end = start + max(1, self.place.width)
        before, marked, after = line[:start], line[start:end], line[end:]
        if len(line) <= EXCERPT:
            return before, marked, after
        before = before if len(before) <= EXCERPT // 2 else f"...{before[-EXCERPT // 2 :]}"
        marked, after = marked[: EXCERPT // 2], marked[EXCERPT // 2 :] + after
        room = max(0, EXCERPT - len(before) - len(marked))
        return before, marked, after if len(after) <= room else f"{after[:room]}..."


def _cells(text: str) -> int:
    """Columns of a terminal that `text` takes: Chinese characters take two."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text
    )


class SpecErrors(InvalidSpec):
    """Every problem at once, in the order of files and lines."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = sorted(
            diagnostics, key=lambda d: (d.place.text.path, d.place.line, d.place.column, d.message)
        )
        super().__init__("invalid")

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)
