"""The base of all models: frozen, closed, and a class for every field.

A field's class says what a change of it costs (DESIGN: "Stages, keys, plan"):

- identity: in the key of the stages that read it (every field that is not marked otherwise)
- placement: where or how a stage runs; in no key
- report: how results are shown; in no key
- cosmetic: for people; in no key

The modules of models do without `from __future__ import annotations`: pydantic would parse and evaluate each of some
300 annotations by itself, which is slower than Python's own compiler by far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

NOT_IN_PAPER = "Not in the paper."
"""The end of the description of every field whose default the paper does not give: `explain` and the report look for it."""

PLACEMENT: dict[str, Any] = {"class": "placement"}
REPORT: dict[str, Any] = {"class": "report"}
COSMETIC: dict[str, Any] = {"class": "cosmetic"}

DISCRIMINATORS = ("kind", "mode")
"""Fields that name the member of a union."""

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
TAG_PATTERN = r"^[a-z_]+$"
DIGEST_PATTERN = r"^[0-9a-f]{64}$"
ENDPOINT_PATTERN = r"^https?://[^@\s]+$"
REVISION_PATTERN = r"^[0-9a-f]{40}$"
DNS_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
LABEL_KEY_PATTERN = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
VARIABLE_PATTERN = r"^[A-Z_][A-Z0-9_]*$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
IMAGE_PATTERN = r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$"
DRIVER_PATTERN = r"^[0-9]{3}(\.[0-9]+)*$"
STORE_PATTERN = r"^([a-z][a-z0-9+.-]*://)?[^@\s]+$"

Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN, max_length=40),
]
"""Lower-case letters, digits and dashes: it becomes part of Kubernetes names and of object keys."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

Revision = Annotated[str, StringConstraints(pattern=REVISION_PATTERN)]
"""A full commit hash. Branches move."""


class Named:
    """`x: name` is short for `x: {kind: name}`, and a map without `kind` is of the `default` kind.

    Stands in the annotation of a union, behind its discriminator. `by` is the discriminator where it is not `kind`.
    """

    def __init__(self, default: str, by: str = "kind") -> None:
        self.default, self.by = default, by

    def expand(self, value: Any) -> Any:
        if isinstance(value, str):
            return {self.by: value}
        if isinstance(value, dict) and self.by not in value:
            return {self.by: self.default, **value}
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Tell `c2f_spec/language/json_schema.py` what may be left out."""
        return {**handler(schema), "named": {"default": self.default, "by": self.by}}


class Word:
    """`word` may be written where a number is expected, and is read as none: the value is worked out by the plan."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: None if value == self.word else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"const": self.word}]}


class SpecModel(BaseModel):
    """Frozen, and closed: an unknown field is an error.

    Validators are built when a model is first used. Built at import, each section would be compiled by itself and
    again inside every section above it, and `c2f-spec validate` would wait for all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


M = TypeVar("M", bound=SpecModel)


def at_default(model: type[M], **fields: SpecModel) -> M:
    """Return `model` with every field at its default but `fields`, without building its validator."""
    return cast("M", model.model_construct(None, **fields))


def field_class(model: type[SpecModel], name: str) -> str:
    """Return `identity`, `placement`, `report` or `cosmetic`."""
    extra = model.model_fields[name].json_schema_extra
    return str(extra.get("class", "identity")) if isinstance(extra, dict) else "identity"


def identity(model: SpecModel) -> dict[str, Any]:
    """Return the part of `model` that says what is computed, as plain data for a key.

    Fields at their default are left out, so that a new field with a default keeps old keys; a discriminator always
    stays, because it names the union's member and the other fields mean nothing without it. A section that differs
    from its default only in fields of other classes counts as at its default.
    """
    kind = type(model)
    return {
        name: _plain(value)
        for name, value in model
        if field_class(kind, name) == "identity"
        and (name in DISCRIMINATORS or _differs(value, default_of(kind, name)))
    }


def _differs(value: Any, default: Any) -> bool:
    """Return whether a value differs from its default in what is keyed. Most are at their default, which is cheap to see."""
    return bool(value != default) and _plain(value) != _plain(default)


def default_of(model: type[SpecModel], name: str) -> Any:
    """Return the default of a field; of a required one, something that equals no value."""
    return model.model_fields[name].get_default(call_default_factory=True)


def _plain(value: Any) -> Any:
    if isinstance(value, SpecModel):
        return identity(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
