"""Which fields were left at a default that the paper does not give: what a reader must know before comparing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from c2f_spec.report.model import Default
from c2f_spec.spec.base import DISCRIMINATORS, NOT_IN_PAPER, SpecModel, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


def not_in_the_paper(model: SpecModel, path: str = "") -> Iterator[Default]:
    """Fields whose description ends with the mark and whose value is the default, in the order of the schema."""
    for name, value in model:
        field = type(model).model_fields[name]
        place = f"{path}.{name}" if path else name
        description = field.description or ""
        if (
            description.endswith(NOT_IN_PAPER)
            and value == field.get_default(call_default_factory=True)
            and not _only_fields(value)
        ):
            yield Default(place, _shown(value, field), description.removesuffix(NOT_IN_PAPER).strip())
        if isinstance(value, SpecModel):
            yield from not_in_the_paper(value, place)


def _only_fields(value: Any) -> bool:
    """Whether it is a section of no kind, which has nothing to show but the fields in it."""
    return isinstance(value, SpecModel) and not set(DISCRIMINATORS) & set(type(value).model_fields)


def _shown(value: Any, field: FieldInfo) -> str:
    """As it would be written in a spec; an absent value by the word for it, if there is one."""
    if value is None:
        return next((m.word for m in field.metadata if isinstance(m, Word)), "none")
    if isinstance(value, SpecModel):
        return next(str(getattr(value, d)) for d in DISCRIMINATORS if d in type(value).model_fields)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
