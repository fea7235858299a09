"""Problems as people read them: the same text from every verb, on stderr, with a count at the end.

Colour only repeats what a word or sign says already, and only where somebody looks: a terminal, unless `NO_COLOR`
(https://no-color.org) or `TERM=dumb`; `FORCE_COLOR` says yes where no terminal is seen, as in CI logs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from c2f_spec.errors import Diagnostic, SpecErrors, SpecInvalid, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.errors import C2fError

    Finding = Diagnostic | C2fError
    """A problem with a place, or one without: a missing file has no line."""

BOLD_RED, BOLD_YELLOW, BOLD, DIM, PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
HUES = {"error": BOLD_RED, "warning": BOLD_YELLOW, "note": BOLD}


def colourful(stream: TextIO) -> bool:
    """May `stream` be coloured?"""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def findings(error: C2fError) -> list[Finding]:
    """The problems that an error stands for."""
    return [*error.diagnostics] if isinstance(error, SpecErrors) else [error]


def severity(finding: Finding) -> str:
    return finding.severity if isinstance(finding, Diagnostic) else "error"


def tell(found: Iterable[Finding]) -> None:
    """Print problems to stderr."""
    colour = colourful(sys.stderr)
    for finding in found:
        print(text(finding, colour=colour), file=sys.stderr)


def text(finding: Finding, *, colour: bool = False) -> str:
    """A note is one line, everything else has its source line and hint below."""
    lines = [printable(line) for line in str(finding).splitlines()]
    if severity(finding) == "note":
        lines = lines[:1]
    return "\n".join(_coloured(lines, finding)) if colour else "\n".join(lines)


def _coloured(lines: list[str], finding: Finding) -> list[str]:
    """The first line and the caret in the colour of the severity, what explains them dim."""
    hue = HUES[severity(finding)]
    caret = 2 if isinstance(finding, Diagnostic) else 0
    return [
        f"{hue}{line}{PLAIN}"
        if i in (0, caret)
        else f"{DIM}{line}{PLAIN}"
        if line.startswith("  ") and i != 1
        else line
        for i, line in enumerate(lines)
    ]


def count(found: Sequence[Finding]) -> str:
    """`3 errors, 1 warning in 2 files`; nothing if all is well. Notes are not counted: they ask for nothing."""
    parts = []
    for word in ("error", "warning"):
        number = sum(severity(f) == word for f in found)
        if number:
            parts.append(f"{number} {word}{'s' if number > 1 else ''}")
    files = {file_of(f) for f in found if severity(f) != "note"} - {""}
    where = f" in {len(files)} file{'s' if len(files) > 1 else ''}" if files else ""
    return ", ".join(parts) + where if parts else ""


def tell_all(found: Sequence[Finding]) -> None:
    """Every problem, then the count."""
    tell(found)
    if total := count(found):
        print(total, file=sys.stderr)


def file_of(finding: Finding) -> str:
    """The file that a problem is in, relative to the current folder if it lies below it; nothing if unknown."""
    if isinstance(finding, Diagnostic):
        path = finding.place.text.path
    else:
        path = finding.file if isinstance(finding, SpecInvalid) else ""
    return os.path.relpath(path) if path.startswith(f"{Path.cwd()}{os.sep}") else path


def code_of(finding: Finding) -> str:
    """What `explain` takes; nothing where there is no more to tell."""
    return finding.code if isinstance(finding, (Diagnostic, SpecInvalid)) else ""
