"""Find the fields that differ between two versions of an experiment, as its author writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from c2f_spec.errors import shorten
from c2f_spec.plan.explain import ABSENT, format_value
from c2f_spec.spec.base import DISCRIMINATORS, SpecModel, default_of, field_class


class Field(NamedTuple):
    """A field that differs, or a section that was added or removed."""

    path: str
    old: Any
    new: Any
    kind: str
    """Its class: `identity`, `placement`, `report`, `cosmetic`."""

    def __str__(self) -> str:
        return f"{self.path} {format_field(self.old)} -> {format_field(self.new)}"


def differing_fields(old: Any, new: Any, path: str = "", kind: str = "identity") -> Iterator[Field]:
    """Yield differing fields. The name of an experiment is left out: it tells variants apart."""
    if old is new or (type(old) is type(new) and old == new):
        return
    if isinstance(old, SpecModel) and isinstance(new, SpecModel):
        yield from _models(old, new, path, kind)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from differing_fields(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}.{key}", kind)
    elif old != new:
        yield Field(path, old, new, kind)


def _models(old: SpecModel, new: SpecModel, path: str, kind: str) -> Iterator[Field]:
    """Yield differing fields of two sections; of another member of a union, only the fields of the new one."""
    same = type(old) is type(new)
    for name in type(new).model_fields:
        if not path and name == "name":
            continue
        value = getattr(new, name)
        if not same and name not in DISCRIMINATORS and value == default_of(type(new), name):
            continue
        inner = field_class(type(new), name)
        before = getattr(old, name, ABSENT)
        yield from differing_fields(
            before, value, f"{path}.{name}" if path else name, inner if kind == "identity" else kind
        )


def format_field(value: Any) -> str:
    """Return a value as in a spec, shortened; a section as the word for its kind, a list as the words or names."""
    if isinstance(value, SpecModel):
        named = next((str(getattr(value, d)) for d in DISCRIMINATORS if d in type(value).model_fields), "")
        return str(getattr(value, "name", "")) or named or "set"
    if isinstance(value, tuple) and any(isinstance(each, SpecModel) for each in value):
        return shorten(f"[{', '.join(format_field(each) for each in value)}]", 60)
    return "none" if value is ABSENT else format_value(value)
