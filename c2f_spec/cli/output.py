"""Print the output of every verb: answers to stdout, diagnostics and notes to stderr.

Colour repeats what a word or sign says already. It is used on a terminal only, unless `NO_COLOR`
(https://no-color.org), `TERM=dumb` or `FORCE_COLOR`, as in CI logs, say otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.render import render_text, summarise, supports_colour
from c2f_spec.errors import Exit, UsageError, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.diagnostics.render import Finding


def note(text: str) -> None:
    """Print one line to stderr."""
    print(sanitize(text), file=sys.stderr, flush=True)


def print_diagnostics(diagnostics: Iterable[Finding]) -> None:
    """Print each to stderr, with its source line and hint."""
    colour = supports_colour(sys.stderr)
    for finding in diagnostics:
        print(render_text(finding, colour=colour), file=sys.stderr)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print every diagnostic, then their count."""
    print_diagnostics(findings)
    if total := summarise(findings):
        print(total, file=sys.stderr)


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print columns as wide as their longest cell."""
    clean = [tuple(sanitize(cell) for cell in row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(head, *clean, strict=True)]
    for row in (head, *clean):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_filled_columns(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table without the columns that are empty in every row."""
    print_table(*filled_columns(head, rows))


def filled_columns(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows without the columns that are empty in every row."""
    filled = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return tuple(head[i] for i in filled), [tuple(row[i] for i in filled) for row in rows]


def relative(path: Path) -> str:
    """Return a path that a terminal can open: relative if it lies below the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def confirm(question: str, *, unattended: str) -> bool:
    """Ask a person at the terminal. Raise `UsageError` with `unattended` if stdin is no terminal."""
    if not sys.stdin.isatty():
        raise UsageError(unattended, hint="add --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def write_folder(folder: Path, wanted: dict[str, str], header: str, *, check: bool, what: str) -> int:
    """Bring the YAML files of `folder` to `wanted`, each of which begins with `header`.

    Files without the header come from elsewhere, and are neither removed nor overwritten. With `check` nothing is
    written, and the code is 4 if something differs. `what` names what an outdated file no longer is.
    """
    existing = {p.name: p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.yaml"))}
    outdated = [n for n, text in existing.items() if n not in wanted and text.startswith(header)]
    foreign = [n for n in wanted if n in existing and not existing[n].startswith(header)]
    if foreign and not check:
        raise UsageError(f"{folder / foreign[0]} was not written by this spec", hint="choose another folder")
    changed = [n for n, text in wanted.items() if existing.get(n) != text]
    if check:
        for word, names in (("differs", changed), (f"no longer {what}", outdated)):
            for name in names:
                note(f"{folder / name}: {word if name in existing else 'missing'}")
        return Exit.DIFFERENCE if changed or outdated else Exit.OK
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (folder / name).write_text(wanted[name], encoding="utf-8")
        print(f"wrote {folder / name}")
    for name in outdated:
        (folder / name).unlink()
        print(f"removed {folder / name}: no longer {what}")
    return Exit.OK
