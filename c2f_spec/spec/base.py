"""What all models share: frozen, closed, and a class for every field.

A field's class says what a change of it costs (DESIGN: "Stages, keys, plan"):

- identity: in the key of the stages that read it (every field that is not marked otherwise)
- placement: where or how a stage runs; in no key
- report: how results are shown; in no key
- cosmetic: for people; in no key
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

PLACEMENT: dict[str, Any] = {"class": "placement"}
REPORT: dict[str, Any] = {"class": "report"}
COSMETIC: dict[str, Any] = {"class": "cosmetic"}

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
REVISION_PATTERN = r"^[0-9a-f]{40}$"

Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN, max_length=40),
]
"""Lower-case letters, digits and dashes: it becomes part of Kubernetes names and of object keys."""

Revision = Annotated[str, StringConstraints(pattern=REVISION_PATTERN)]
"""A full commit hash. Branches move."""


class SpecModel(BaseModel):
    """Frozen, and closed: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def field_class(model: type[SpecModel], name: str) -> str:
    """`identity`, `placement`, `report` or `cosmetic`."""
    extra = model.model_fields[name].json_schema_extra
    return str(extra.get("class", "identity")) if isinstance(extra, dict) else "identity"


def identity(model: SpecModel) -> dict[str, Any]:
    """The part of `model` that says what is computed, as plain data for a key.

    Fields at their default are left out, so that a new field with a default keeps old keys; `kind` always stays,
    because it names the union's member and the other fields mean nothing without it.
    """
    return {
        name: _plain(value)
        for name, value in model
        if field_class(type(model), name) == "identity"
        and (name == "kind" or value != type(model).model_fields[name].get_default(call_default_factory=True))
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SpecModel):
        return identity(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
