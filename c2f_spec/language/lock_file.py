"""`c2f.lock`: what names stand for, reviewed like code.

c2f: v1
datasets: {ch-sims: <64 hex digits>}                   the files of the staged copy
models: {Qwen/Qwen2.5-Omni-7B@<commit>: <64 hex>}      the files of the staged copy of that revision
images: {registry/c2f:2026-10: sha256:<64 hex>}        what the tag of an environment was when it was pinned
terms_accepted: {ch-sims: true}                        data sets whose authors' terms were read and accepted (`data add --accept-terms`)
accept: [{old: <hex>, new: <hex>, by: who, why: text}] digests of code that compute the same
adopted: [{stage: <64 hex>, files: <64 hex>, by: who, why: text}] output that was made elsewhere, taken for a stage's

A model's revision is a commit hash in the spec itself, so the name is exact already; its pin says that the copy which
came by a mirror or by disk is the copy that was meant, byte for byte.
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

HEADER = "# What names stand for. Written by `c2f-spec lock`, `data add` and `model add`; reviewed like code.\nc2f: v1\n"
UNPINNED = "unpinned"
"""Stands for a digest that nobody knows yet, in a plan made `--offline`. No digest is equal to it."""
PINS = {
    "datasets": (r"[0-9a-f]{64}", "a digest (64 hex digits)"),
    "models": (r"[0-9a-f]{64}", "a digest (64 hex digits)"),
    "images": (r"sha256:[0-9a-f]{64}", "an image digest (`sha256:` and 64 hex digits)"),
    "terms_accepted": (r"true", "`true`"),
}
"""Section to the form of its pins."""
FIELDS = ("c2f", *PINS, "accept", "adopted")
CODE_DIGEST = r"[0-9a-f]{16,64}"


class Acceptance(NamedTuple):
    """Code with the digest `new` computes what code with the digest `old` did. The words are for reviewers."""

    old: str
    new: str
    by: str
    why: str


class Adoption(NamedTuple):
    """Files that were made elsewhere stand for what the stage of this key would make (`plan/adopted.py`)."""

    stage: str
    files: str
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Pins by name, and declared equalities of code."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    """By `repository@revision`."""
    images: Mapping[str, str] = field(default_factory=dict)
    terms_accepted: Mapping[str, str] = field(default_factory=dict)
    """By data set: staging it again, here or elsewhere, needs no other word."""
    accept: tuple[Acceptance, ...] = ()
    adopted: tuple[Adoption, ...] = ()


def read_lock(path: Path, files: Files = DISK) -> Lock:
    """An absent file pins nothing. Raises `SpecErrors` at every line that is not a pin."""
    return parse_lock(read_document(path, str(path), files)) if files.is_file(path) else Lock()


def parse_lock(document: Document) -> Lock:
    """Raises `SpecErrors`."""
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
            yield Diagnostic("C2F401", at, f"unknown field `{shorten(name)}`", f"one of {known}")


def _pins(document: Document, section: str, problems: list[Diagnostic]) -> dict[str, str]:
    pins = document.data.get(section) or {}
    if not isinstance(pins, dict):
        at = document.place((section,))
        problems.append(Diagnostic("C2F402", at, f"`{section}` must be a map of pins"))
        return {}
    pattern, what = PINS[section]
    for name, digest in pins.items():
        if not isinstance(digest, str) or not re.fullmatch(pattern, digest):
            at = document.place((section, name))
            problems.append(Diagnostic("C2F403", at, f"the pin of `{shorten(name)}` is not {what}"))
    return dict(pins)


def _badly_named(document: Document, models: dict[str, str]) -> Iterator[Diagnostic]:
    for name in models:
        if not re.fullmatch(r"[^@\s]+@[0-9a-f]{40}", name):
            at = document.place(("models", name), key=True)
            hint = "the commit hash is in the spec, as `revision`"
            yield Diagnostic("C2F404", at, f"`{shorten(name)}` is not repository@commit", hint)


def _accepted(document: Document, problems: list[Diagnostic]) -> Iterator[Acceptance]:
    hint = "each is {old: <hex>, new: <hex>, by: who, why: text}, and no two have the same `new`"
    seen: set[str] = set()
    for i, entry in _entries(document, "accept"):
        wrong = _wrong(entry, Acceptance._fields, ("old", "new"), CODE_DIGEST)
        if not wrong and entry["old"] == entry["new"]:
            wrong = "`old` and `new` are the same"
        if not wrong and entry["new"] in seen:
            wrong = "`new` was accepted by an entry above"
        if wrong:
            problems.append(Diagnostic("C2F405", document.place(("accept", i)), wrong, hint))
            continue
        seen.add(entry["new"])
        yield Acceptance(**entry)


def _adopted(document: Document, problems: list[Diagnostic]) -> Iterator[Adoption]:
    hint = "`c2f-spec adopt` writes them: {stage: <64 hex>, files: <64 hex>, by: who, why: text}"
    seen: set[str] = set()
    for i, entry in _entries(document, "adopted"):
        wrong = _wrong(entry, Adoption._fields, ("stage", "files"), r"[0-9a-f]{64}")
        if not wrong and entry["stage"] in seen:
            wrong = "something was adopted for this `stage` by an entry above"
        if wrong:
            problems.append(Diagnostic("C2F406", document.place(("adopted", i)), wrong, hint))
            continue
        seen.add(entry["stage"])
        yield Adoption(**entry)


def _entries(document: Document, section: str) -> Iterator[tuple[int, Any]]:
    """With their numbers; what is no list is an entry that is wrong."""
    entries = document.data.get(section) or []
    yield from enumerate(entries if isinstance(entries, list) else [f"`{section}` must be a list"])


def _wrong(entry: Any, fields: Sequence[str], digests: Sequence[str], pattern: str) -> str:
    """What is wrong with an entry; nothing if it is one."""
    if not isinstance(entry, dict) or set(entry) != set(fields):
        return f"not an entry with exactly {', '.join(f'`{f}`' for f in fields)}"
    for name, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            return f"`{name}` says nothing"
    for name in digests:
        if not re.fullmatch(pattern, entry[name]):
            return f"`{name}` is not a digest ({pattern.removeprefix('[0-9a-f]')} hex digits)"
    return ""


def write_adoption(path: Path, adoption: Adoption) -> None:
    """Add an entry, in place of one for the same stage. Everything else stays as it is written."""
    text = path.read_text(encoding="utf-8") if path.is_file() else HEADER
    held = parse_lock(load_document(text.encode(), str(path)))
    lines = text.splitlines()
    entry = ", ".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in adoption._asdict().items())
    lines = [line for line in lines if not re.search(rf"\bstage: \"?{adoption.stage}\b", line)]
    kept = [a for a in held.adopted if a.stage != adoption.stage]
    start = next((i for i, line in enumerate(lines) if re.match(r"adopted:", line)), None)
    if start is None or not kept:
        lines = [line for i, line in enumerate(lines) if i != start]
        lines += ["adopted:", f"  - {{{entry}}}"]
    else:
        lines.insert(start + 1, f"{_indent(lines[start + 1 :])}- {{{entry}}}")
    _replace(path, "\n".join(lines) + "\n")


def _indent(lines: list[str]) -> str:
    """That of the entries of a list."""
    return next(m[1] for line in lines if (m := re.match(r"( *)- ", line)))


def write_pins(path: Path, section: str, pins: Mapping[str, str]) -> None:
    """Add or change pins of a section. Everything else, comments too, stays as it is written."""
    text = path.read_text(encoding="utf-8") if path.is_file() else HEADER
    for name in sorted(pins):
        text = _with_pin(text, str(path), section, name, pins[name])
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """Whole, and only by what can be read back."""
    parse_lock(load_document(text.encode(), str(path)))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _with_pin(text: str, shown: str, section: str, name: str, digest: str) -> str:
    """`text` with one pin more, or another. A section in braces is written as lines, in order of names."""
    document = load_document(text.encode(), shown)
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
    """First line of a section in braces, or of an empty one, and the line after its last, counted from 0."""
    start = document.place((section,), key=True).line - 1
    if document.data[section] is None:
        return start, start + 1
    last = max([document.place((section, name)).line - 1 for name in document.data[section]], default=start)
    return start, next(i for i in range(last, len(lines)) if "}" in lines[i]) + 1
