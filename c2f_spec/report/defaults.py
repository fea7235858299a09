"""Which fields were left at a default that the paper does not give: what a reader must know before comparing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from c2f_spec.report.model import Default
from c2f_spec.spec.base import SpecModel

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "Not in the paper."


def not_in_the_paper(model: SpecModel, path: str = "") -> Iterator[Default]:
    """Fields whose description ends with the mark and whose value is the default, in the order of the schema."""
    for name, value in model:
        field = type(model).model_fields[name]
        place = f"{path}.{name}" if path else name
        description = field.description or ""
        if isinstance(value, SpecModel):
            yield from not_in_the_paper(value, place)
        elif description.endswith(MARK) and value == field.get_default(call_default_factory=True):
            shown = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
            yield Default(place, "auto" if value is None else shown, description.removesuffix(MARK).strip())
