"""Read YAML text into a `Document`: plain data, and the place of every key and value.

Specs may come from untrusted authors, so the language is small: maps, lists and scalars. Anchors, aliases, merge keys,
tags and duplicate keys are errors, and depth and size are bounded. Plain scalars stay text (or null): the
schema decides what `1e-5`, `no`, `010` or an all-digit commit hash are, so that no value changes its type on the way.
Built from parser events and not from a loader, because a loader has already dropped the first of two equal keys.
The limits keep any text of `MAX_BYTES` under two seconds and 200 MB, and its diagnostics readable.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from c2f_spec.diagnostics.diagnostic import Diagnostic, Loc, Place, SpecErrors, Text
from c2f_spec.errors import InvalidSpec, shorten
from c2f_spec.files import DISK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from c2f_spec.files import Files


MAX_TAG = 200


def explicit_tag(event: Any) -> str:
    """Return the explicit tag of a node as it was written, or `""`."""
    tag = str(getattr(event, "ctag", None))
    return "" if tag in ("None", "!") else tag


def parse_events(content: str) -> Iterator[Any]:
    """Return the parser events of `content`. Long tags are cut: decoding takes the square of their length."""
    from ruamel.yaml import YAML
    from ruamel.yaml.parser import Parser

    class BoundedParser(Parser):
        def select_tag_transform(self, tag: Any) -> None:
            if tag is not None and tag.suffix:
                tag.suffix = tag.suffix[:MAX_TAG]
            super().select_tag_transform(tag)

    yaml = YAML(typ="safe", pure=True)
    yaml.Parser = BoundedParser
    events: Iterator[Any] = yaml.parse(content)
    return events


MAX_BYTES = 500_000
MAX_DEPTH = 40
MAX_NODES = 20_000
MAX_PROBLEMS = 100
NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file. `values` and `keys` have the places of the value and the key of every location.

    Places carry their own text: values from `extends`, a template, a sweep or `--set` are in other files than `text`,
    and `origins` and `routes` explain how they came into this document.
    """

    text: Text
    data: Any
    values: dict[Loc, Place] = field(repr=False)
    keys: dict[Loc, Place] = field(repr=False)
    origins: dict[Loc, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Notes on values that a sweep, a parameter or `--set` placed."""
    routes: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Path of another file to notes on how its values came into this document."""

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Return the place of `loc`, or of its nearest ancestor in the text.

        A pydantic location also holds union tags and the names of missing fields, which are not in the text. The
        longest subsequence of parts that is in the text wins, later parts first: a tag may share its name with a key.
        """
        best = self._nearest(loc)
        return self.keys.get(best, self.values[best]) if key else self.values[best]

    def notes(self, loc: Loc, *, key: bool = False) -> tuple[str, ...]:
        """Return how the value at `place(loc)` came into this document, if it was not written there."""
        own = self.origins.get(self._nearest(loc), ())
        return own + self.routes.get(self.place(loc, key=key).text.path, ())

    def _nearest(self, loc: Loc) -> Loc:
        found: list[Loc] = [()]
        for part in loc:
            found += [(*f, part) for f in found if (*f, part) in self.values]
        return max(reversed(found), key=len)


def read_document(path: Path, name: str, files: Files = DISK) -> Document:
    """Return the document of a file, which messages call `name`. Raises `InvalidSpec`."""
    try:
        data = files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        from c2f_spec.language.suggestions import suggest_file

        raise InvalidSpec(
            f"{name}: file not found", hint=suggest_file(path), code="C2F117", file=name
        ) from None
    except IsADirectoryError:
        raise InvalidSpec(f"{name}: is a folder", hint="name a file", code="C2F118", file=name) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidSpec(f"{name}: cannot be read: {reason}", code="C2F119", file=name) from None
    return load_document(data, name)


def load_document(data: bytes, path: str) -> Document:
    """Return the document of the bytes of a file. Raises `InvalidSpec` or `SpecErrors` if they are none."""
    if len(data) > MAX_BYTES:
        raise InvalidSpec(
            f"{path}: file too large: more than {MAX_BYTES:,} bytes",
            hint="check that the file is a spec: a spec has a page or two",
            code="C2F120",
            file=path,
        )
    data = data.removeprefix(BOM_UTF8)
    try:
        text = Text(path, data.decode())
    except UnicodeDecodeError as error:
        text = Text(path, data.decode("utf-8", "replace"))
        content = (
            "UTF-16 text" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte {data[error.start]:#04x}"
        )
        at = _position(text, len(data[: error.start].decode("utf-8", "replace")))
        found = Diagnostic("C2F112", at, f"invalid UTF-8 ({content})", "save the file as UTF-8")
        raise SpecErrors([found]) from None
    return _Builder(text).document()


def _position(text: Text, index: int) -> Place:
    """Return the place of a character, by its index."""
    before = Text(text.path, text.content[:index]).lines
    return Place(text, len(before), len(before[-1]) + 1)


def load_value(argument: Text, start: int) -> Document:
    """Return the value of any type in `argument` from column `start` on, as in `--set path=value`. Raises `SpecErrors`."""
    padded = " " * start + argument.content[start:]
    return _Builder(argument, padded).value()


class _Builder:
    """Build data from parser events in one pass. Problems that leave the text readable are collected, others end it."""

    def __init__(self, text: Text, content: str | None = None) -> None:
        self.text, self.content = text, text.content if content is None else content
        self.values: dict[Loc, Place] = {}
        self.keys: dict[Loc, Place] = {}
        self.problems: list[Diagnostic] = []
        self.nodes = 0
        self.events: Iterator[Any] = iter(())

    def document(self) -> Document:
        return self._built(self._document)

    def value(self) -> Document:
        return self._built(self._node_alone)

    def _built(self, build: Callable[[], Any]) -> Document:
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            self.events = parse_events(self.content)
            data = build()
        except ReaderError as error:
            self._stop(
                "C2F113",
                _position(self.text, error.position),
                f"invalid control character (U+{error.character:04X})",
                "remove it, or write an escape such as `\\x1b` in double quotes",
            )
        except (YAMLError, ValueError, OverflowError) as error:  # ruamel, of odd versions and escapes
            mark = None
            if isinstance(error, MarkedYAMLError):
                mark = error.problem_mark or error.context_mark
            about = " ".join(str(getattr(error, "problem", None) or error).split())
            hint = "check indentation, quotes and brackets here and on the line above"
            if "'\\t'" in about:
                hint = "indent with spaces: YAML does not allow tabs there"
            at = Place(self.text, mark.line + 1, mark.column + 1) if mark else Place(self.text, 1, 1)
            self._stop("C2F101", at, f"invalid YAML: {shorten(about, 120)}", hint)
        if self.problems:
            raise SpecErrors(self.problems)
        return Document(self.text, data, self.values, self.keys)

    def _document(self) -> Any:
        data = self._node_alone()
        if not isinstance(data, dict):
            self._stop(
                "C2F103",
                self.values[()],
                "a spec must be a map of fields",
                "start with `c2f: v1`; specs/ has examples",
            )
        return data

    def _node_alone(self) -> Any:
        """Return the only node of the text."""
        next(self.events)  # start of the stream
        event = next(self.events)
        if type(event).__name__ == "StreamEndEvent":
            self._stop(
                "C2F102",
                Place(self.text, 1, 1),
                "the file is empty",
                "start with `c2f: v1`; specs/ has examples",
            )
        if event.version not in (None, (1, 2)):
            self._stop(
                "C2F121",
                Place(self.text, 1, 1),
                "unsupported `%YAML` version: only 1.2 is supported",
                "remove the line",
            )
        start = next(self.events)
        data = self._node(start, ())
        next(self.events)  # end of the document
        event = next(self.events)
        if type(event).__name__ != "StreamEndEvent":
            self._stop(
                "C2F104",
                self._place(event),
                "more than one document in a file",
                "move the second spec to a file of its own",
            )
        return data

    def _node(self, event: Any, loc: Loc) -> Any:
        self.nodes += 1
        place = self.values[loc] = self._place(event)
        if len(loc) > MAX_DEPTH or self.nodes > MAX_NODES:
            self._stop(
                "C2F105",
                place,
                f"too deep or too many values: at most {MAX_DEPTH} levels and {MAX_NODES:,} values are allowed",
                "",
            )
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._problem(
                "C2F106",
                place,
                f"YAML alias `*{shorten(event.anchor)}` is not supported",
                "write the value out",
            )
            return None
        if event.anchor is not None:
            self._problem(
                "C2F107",
                place,
                f"YAML anchor `&{shorten(event.anchor)}` is not supported",
                "remove the anchor",
            )
        if explicit_tag(event):
            self._problem(
                "C2F108",
                place,
                f"YAML tag `{shorten(explicit_tag(event), 80)}` is not supported",
                "remove the tag: the schema decides the type of a value",
            )
        if kind == "MappingStartEvent":
            return self._map(loc)
        if kind == "SequenceStartEvent":
            return self._list(loc)
        return None if event.style is None and event.value in NULLS else event.value

    def _map(self, loc: Loc) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            place = self._place(event)
            if type(event).__name__ != "ScalarEvent":
                self._stop("C2F109", place, "invalid key: it must be text", "")
            key = event.value
            if not key.isascii() or key != key.strip():
                self._check_key(key, place)
            if key == "<<":
                self._problem("C2F110", place, "YAML merge key `<<` is not supported", "write the fields out")
            elif key in data:
                first = self.keys[*loc, key].line
                self._problem(
                    "C2F111",
                    place,
                    f"duplicate key `{shorten(key)}` (first on line {first})",
                    "remove one of them",
                )
            self.keys.setdefault((*loc, key), place)
            value = self._node(next(self.events), (*loc, key))
            data.setdefault(key, value)
        return data

    def _list(self, loc: Loc) -> list[Any]:
        data: list[Any] = []
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            data.append(self._node(event, (*loc, len(data))))
        return data

    def _check_key(self, key: str, place: Place) -> None:
        """Report a key that looks like another one."""
        from c2f_spec.language.suggestions import describe_lookalikes

        meant, (plain, odd) = shorten(key.strip()), describe_lookalikes(key)
        if key != key.strip():
            self._problem(
                "C2F115", place, f"key `{shorten(key)}` has leading or trailing space", f"write `{meant}`"
            )
        elif odd:
            message = f"key `{shorten(key)}` is not `{shorten(plain)}`: it contains {odd}"
            self._problem("C2F114", place, message, f"write `{shorten(plain)}`")

    def _problem(self, code: str, place: Place, message: str, hint: str) -> None:
        self.problems.append(Diagnostic(code, place, message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            more = Diagnostic(
                "C2F116", place, "too many problems: the rest of the file is not read", "fix these first"
            )
            raise SpecErrors([*self.problems, more])

    def _stop(self, code: str, place: Place, message: str, hint: str) -> NoReturn:
        self._problem(code, place, message, hint)
        raise SpecErrors(self.problems)

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        width = end.column - start.column if end.line == start.line else 1
        if type(event).__name__ in ("MappingStartEvent", "SequenceStartEvent"):
            width = 1
        return Place(self.text, start.line + 1, start.column + 1, max(1, width))


INHERITANCE_FIELDS = ("extends", "template", "with")
MISSPELLED = {
    "extend": "extends", "inherits": "extends", "base": "extends", "templates": "template", "param": "params",
    "parameters": "params", "sweeps": "sweep", "matrix": "sweep.matrix", "zip": "sweep.zip", "ablate": "sweep.ablate",
    "variants": "sweep.variants", "seeds": "sweep.seeds",
}  # fmt: skip
"""Frequent misspellings. Reported before anything else, because without the field the rest of the spec makes no sense."""
LANGUAGE = (*INHERITANCE_FIELDS, "params", "sweep")
"""Fields of the language, which the schema does not know."""


class Variant(NamedTuple):
    """One complete spec: a point of a sweep, or the spec itself."""

    name: str
    document: Document
    differences: tuple[tuple[str, str], ...] = ()
    """Paths and values that the sweep set, as text."""
    factor: tuple[Loc, ...] | None = None
    """Locations in which an ablation must differ from the base, and in no other; empty for the base itself."""


class Expansion(NamedTuple):
    """All variants of a spec, and its own name, before a sweep names the variants."""

    name: str
    variants: tuple[Variant, ...]


def spec_name(data: dict[str, object]) -> str:
    """Return the name that is written in a spec, or `spec`."""
    name = data.get("name")
    return name if isinstance(name, str) else "spec"
