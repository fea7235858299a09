"""Read and write `c2f.lock`: pins of names to digests, and declared equalities, reviewed like code.

c2f: v1
datasets: {ch-sims: <64 hex digits>}                   the files of the staged copy
models: {Qwen/Qwen2.5-Omni-7B@<commit>: <64 hex>}      the files of the staged copy of that revision
images: {registry/c2f:2026-10: sha256:<64 hex>}        the digest of an environment's tag when it was pinned
terms_accepted: {ch-sims: true}                        data sets whose authors' terms were read and accepted (`data add --accept-terms`)
accept: [{old: <hex>, new: <hex>, by: who, why: text}] digests of code that compute the same
adopted: [{stage: <64 hex>, files: <64 hex>, by: who, why: text}] output from elsewhere that is used as a stage's

A model's revision is a commit hash in the spec, so the name is exact already; its pin verifies that a copy from a mirror
or a disk is that revision, byte for byte.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.errors import shorten
from c2f_spec.files import DISK
from c2f_spec.language.document import Document, load_document, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.diagnostics.diagnostic import Place
    from c2f_spec.files import Files

HEADER = "# Pins of names to digests. Written by `c2f-spec lock`, `data add` and `model add`; reviewed like code.\nc2f: v1\n"
UNPINNED = "unpinned"
"""Placeholder of an unknown digest, in a plan with `--offline`. It equals no digest."""
PINS = {
    "datasets": (r"[0-9a-f]{64}", "a digest (64 hex digits)"),
    "models": (r"[0-9a-f]{64}", "a digest (64 hex digits)"),
    "images": (r"sha256:[0-9a-f]{64}", "an image digest (`sha256:` and 64 hex digits)"),
    "terms_accepted": (r"true", "`true`"),
}
"""Section to the pattern of its pins, and words for it."""
FIELDS = ("c2f", *PINS, "accept", "adopted")
CODE_DIGEST = r"[0-9a-f]{16,64}"


class Acceptance(NamedTuple):
    """Declare that code with the digest `new` computes the same as code with the digest `old`."""

    old: str
    new: str
    by: str
    why: str


class Adoption(NamedTuple):
    """Declare that files from elsewhere are the output of the stage with this key."""

    stage: str
    files: str
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Pins by name, accepted code and adopted output."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    """`repository@revision` to digest."""
    images: Mapping[str, str] = field(default_factory=dict)
    terms_accepted: Mapping[str, str] = field(default_factory=dict)
    """Data set to `true`: its terms need not be accepted again."""
    accept: tuple[Acceptance, ...] = ()
    adopted: tuple[Adoption, ...] = ()


def read_lock(path: Path, files: Files = DISK) -> Lock:
    """Return the lock; an absent file pins nothing. Raises `SpecErrors` with all invalid entries."""
    return parse_lock(read_document(path, str(path), files)) if files.is_file(path) else Lock()


def parse_lock(document: Document) -> Lock:
    """Return the lock of a document. Raises `SpecErrors` with all invalid entries."""
    problems = list(_unknown(document))
    pins = {section: _pins(document, section, problems) for section in PINS}
    problems += _badly_named(document, pins["models"])
    accept, adopted = tuple(_accepted(document, problems)), tuple(_adopted(document, problems))
    if problems:
        raise SpecErrors(problems)
    return Lock(**pins, accept=accept, adopted=adopted)


def _unknown(document: Document) -> Iterator[Diagnostic]:
    known = ", ".join(f"`{name}`" for name in FIELDS)
    for name in document.data:
        if name not in FIELDS:
            at = document.place((name,), key=True)
            yield Diagnostic("C2F401", at, f"unknown field `{shorten(name)}`", f"use one of {known}")


def _pins(document: Document, section: str, problems: list[Diagnostic]) -> dict[str, str]:
    pins = document.data.get(section) or {}
    if not isinstance(pins, dict):
        at = document.place((section,))
        problems.append(Diagnostic("C2F402", at, f"`{section}` must be a map from names to pins"))
        return {}
    pattern, expected = PINS[section]
    for name, digest in pins.items():
        if not isinstance(digest, str) or not re.fullmatch(pattern, digest):
            at = document.place((section, name))
            problems.append(Diagnostic("C2F403", at, f"invalid pin of `{shorten(name)}`: must be {expected}"))
    return dict(pins)


def _badly_named(document: Document, models: dict[str, str]) -> Iterator[Diagnostic]:
    for name in models:
        if not re.fullmatch(r"[^@\s]+@[0-9a-f]{40}", name):
            at = document.place(("models", name), key=True)
            hint = "write `repository@commit`; the commit hash is `revision` in the spec"
            yield Diagnostic(
                "C2F404", at, f"invalid model name `{shorten(name)}`: must be repository@commit", hint
            )


def _accepted(document: Document, problems: list[Diagnostic]) -> Iterator[Acceptance]:
    hint = "write {old: <hex>, new: <hex>, by: who, why: text}"
    accepted: set[str] = set()
    for i, entry in _entries(document, "accept"):
        wrong = _validate_entry(entry, Acceptance._fields, ("old", "new"), CODE_DIGEST)
        if not wrong and entry["old"] == entry["new"]:
            wrong = "`old` and `new` must differ"
        if not wrong and entry["new"] in accepted:
            wrong = "duplicate `new`: an entry above has the same digest"
        if wrong:
            problems.append(Diagnostic("C2F405", document.place(("accept", i)), wrong, hint))
            continue
        accepted.add(entry["new"])
        yield Acceptance(**entry)


def _adopted(document: Document, problems: list[Diagnostic]) -> Iterator[Adoption]:
    hint = "run `c2f-spec adopt`, which writes {stage: <64 hex>, files: <64 hex>, by: who, why: text}"
    adopted: set[str] = set()
    for i, entry in _entries(document, "adopted"):
        wrong = _validate_entry(entry, Adoption._fields, ("stage", "files"), r"[0-9a-f]{64}")
        if not wrong and entry["stage"] in adopted:
            wrong = "duplicate `stage`: an entry above has the same key"
        if wrong:
            problems.append(Diagnostic("C2F406", document.place(("adopted", i)), wrong, hint))
            continue
        adopted.add(entry["stage"])
        yield Adoption(**entry)


def _entries(document: Document, section: str) -> Iterator[tuple[int, Any]]:
    """Yield the entries of a section with their indices; a section that is no list is one invalid entry."""
    entries = document.data.get(section) or []
    yield from enumerate(entries if isinstance(entries, list) else [f"`{section}` must be a list"])


def _validate_entry(entry: Any, fields: Sequence[str], digests: Sequence[str], pattern: str) -> str:
    """Return what is wrong with an entry, or `""`."""
    if not isinstance(entry, dict) or set(entry) != set(fields):
        return f"an entry must have exactly the fields {', '.join(f'`{f}`' for f in fields)}"
    for name, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            return f"`{name}` is empty"
    for name in digests:
        if not re.fullmatch(pattern, entry[name]):
            return f"`{name}` must be a digest ({pattern.removeprefix('[0-9a-f]')} hex digits)"
    return ""


def write_adoption(path: Path, adoption: Adoption) -> None:
    """Add an entry, or replace that of the same stage. All other text, with comments, stays as it is."""
    text = path.read_text(encoding="utf-8") if path.is_file() else HEADER
    lock = parse_lock(load_document(text.encode(), str(path)))
    lines = text.splitlines()
    entry = ", ".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in adoption._asdict().items())
    lines = [line for line in lines if not re.search(rf"\bstage: \"?{adoption.stage}\b", line)]
    others = [a for a in lock.adopted if a.stage != adoption.stage]
    start = next((i for i, line in enumerate(lines) if re.match(r"adopted:", line)), None)
    if start is None or not others:
        lines = [line for i, line in enumerate(lines) if i != start]
        lines += ["adopted:", f"  - {{{entry}}}"]
    else:
        lines.insert(start + 1, f"{_indent(lines[start + 1 :])}- {{{entry}}}")
    _replace(path, "\n".join(lines) + "\n")


def _indent(lines: list[str]) -> str:
    """Return the indentation of the entries of a list."""
    return next(m[1] for line in lines if (m := re.match(r"( *)- ", line)))


def write_pins(path: Path, section: str, pins: Mapping[str, str]) -> None:
    """Add or change pins of a section. All other text, with comments, stays as it is."""
    text = path.read_text(encoding="utf-8") if path.is_file() else HEADER
    for name in sorted(pins):
        text = _with_pin(text, str(path), section, name, pins[name])
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """Replace the file atomically, after its new text was parsed."""
    parse_lock(load_document(text.encode(), str(path)))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _with_pin(text: str, path: str, section: str, name: str, digest: str) -> str:
    """Return `text` with a pin added or changed. A section in braces is rewritten as lines, sorted by name."""
    document = load_document(text.encode(), path)
    parse_lock(document)
    lines = text.splitlines()
    pins = document.data.get(section) or {}
    if pins.get(name) == digest:
        return text
    if section not in document.data:
        lines += [f"{section}:", f"  {name}: {digest}"]
    elif not pins or _in_braces(document.place((section,))):
        start, end = _lines_of(document, section, lines)
        all_ = sorted({**pins, name: digest}.items())
        lines[start:end] = [f"{section}:", *(f"  {n}: {d}" for n, d in all_)]
    elif name in pins:
        at = document.place((section, name))
        line = lines[at.line - 1]
        lines[at.line - 1] = line[: at.column - 1] + digest + line[at.column - 1 + at.width :]
    else:
        before = [other for other in pins if other < name]
        first = document.place((section, next(iter(pins))), key=True)
        last = max((document.place((section, o)).line for o in before), default=first.line - 1)
        lines.insert(last, f"{' ' * (first.column - 1)}{name}: {digest}")
    return "\n".join(lines) + "\n"


def _in_braces(value: Place) -> bool:
    return value.text.line(value.line)[value.column - 1 :].startswith("{")


def _lines_of(document: Document, section: str, lines: list[str]) -> tuple[int, int]:
    """Return the first line of a section in braces or of an empty one, and the line after its last, counted from 0."""
    start = document.place((section,), key=True).line - 1
    if document.data[section] is None:
        return start, start + 1
    last = max([document.place((section, name)).line - 1 for name in document.data[section]], default=start)
    return start, next(i for i in range(last, len(lines)) if "}" in lines[i]) + 1
