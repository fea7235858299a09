"""A complaint of pydantic → what is wrong and what to do, in the spec's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from c2f_spec.errors import short
from c2f_spec.lookalikes import suggest
from c2f_spec.spec.base import (
    DIGEST_PATTERN,
    DISCRIMINATORS,
    DNS_PATTERN,
    DRIVER_PATTERN,
    ENDPOINT_PATTERN,
    IMAGE_PATTERN,
    LABEL_KEY_PATTERN,
    LABEL_VALUE_PATTERN,
    NAME_PATTERN,
    QUANTITY_PATTERN,
    REVISION_PATTERN,
    STORE_PATTERN,
    TAG_PATTERN,
    VARIABLE_PATTERN,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

WHAT_A_PATTERN_MEANS = {
    NAME_PATTERN: "a name is lower-case letters, digits and dashes, and starts and ends with a letter or digit",
    REVISION_PATTERN: "a revision is a full commit hash (40 hex digits); branches move",
    DIGEST_PATTERN: "a digest is 64 hex digits",
    ENDPOINT_PATTERN: "an endpoint is a URL with http or https, and without user or password",
    TAG_PATTERN: "a tag is lower-case letters and underscores",
    DNS_PATTERN: "a name of Kubernetes is lower-case letters, digits, dashes and dots, and starts and ends with a letter or digit",
    LABEL_KEY_PATTERN: "a key is `name` or `domain/name`: letters, digits, dashes, dots and underscores",
    LABEL_VALUE_PATTERN: "a label's value is letters, digits, dashes, dots and underscores",
    VARIABLE_PATTERN: "a variable is upper-case letters, digits and underscores",
    QUANTITY_PATTERN: "an amount is a number with or without a unit: 500m, 8, 64Gi, 1.5Ti",
    IMAGE_PATTERN: "an image is named by its digest, registry/name@sha256:<64 hex digits>; tags move",
    DRIVER_PATTERN: "a driver is a version, for example 535.129.03",
    STORE_PATTERN: "a store is a URL without user or password, for example s3://bucket/c2f",
}

NOT_A = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of at most 4,300 digits",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a map of fields",
    "model_type": "a map of fields",
    "model_attributes_type": "a map of fields",
}

COMPARISONS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explain(root: Any, error: ErrorDetails) -> tuple[str, str, str, bool]:
    """Code, message, hint, and whether the caret belongs under the key instead of the value."""
    kind, loc, ctx = error["type"], error["loc"], error.get("ctx", {})
    name = short(str(loc[-1])) if loc else "the spec"
    if kind == "extra_forbidden":
        from c2f_spec.parse.moved import guidance

        return "C2F201", f"unknown field `{name}`", guidance(root, (*loc[:-1], name)), True
    if kind == "missing":
        where = f" in `{loc[-2]}`" if len(loc) > 1 else ""
        return "C2F202", f"missing field `{name}`{where}", _description(root, loc), True
    if kind == "union_tag_invalid":
        kinds = [k.strip("'") for k in str(ctx["expected_tags"]).split(", ")]
        by, tag = str(ctx["discriminator"]).strip("'"), str(ctx["tag"])
        return "C2F203", f"no {_noun(name)} {by} `{shown(tag)}`", suggest(tag, kinds), False
    if kind == "union_tag_not_found":
        return "C2F204", f"`{name}` needs a field `kind`", f"one of {_kinds(root, loc)}", False
    if kind == "literal_error":
        allowed = [k.strip("'") for k in str(ctx["expected"]).replace(" or ", ", ").split(", ")]
        return (
            "C2F205",
            f"`{name}` cannot be `{shown(error['input'])}`",
            suggest(shown(error["input"]), allowed),
            False,
        )
    if kind == "string_pattern_mismatch":
        return (
            "C2F206",
            WHAT_A_PATTERN_MEANS.get(str(ctx["pattern"]), f"`{name}` has a form that is not allowed"),
            "",
            False,
        )
    if kind in NOT_A:
        return "C2F207", f"`{name}` must be {NOT_A[kind]}, not `{shown(error['input'])}`", "", False
    if kind in COMPARISONS:
        bound, words = COMPARISONS[kind]
        return "C2F208", f"`{name}` must be {words} {ctx[bound]:g}, not {shown(error['input'])}", "", False
    if kind == "value_error":
        return "C2F209", str(ctx["error"]), "", False
    if kind == "too_short":
        return "C2F210", f"`{name}` is empty", f"name at least {ctx['min_length']}", False
    if kind == "string_too_long":
        return "C2F211", f"`{name}` has more than {ctx['max_length']} characters", "shorten it", False
    return "C2F299", f"`{name}`: {error['msg'][0].lower()}{error['msg'][1:]}", "", False


def shown(value: Any) -> str:
    """A short, one-line text of a value."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return short(str(value))


def fields_at(root: Any, loc: tuple[str | int, ...]) -> list[str]:
    """Names of the fields that may stand at a pydantic location."""
    models = members(root)
    for part in loc:
        models = [inner for model in models for inner in _step(model, part)] or models
    return sorted({name for model in models for name in model.model_fields})


def _step(model: type[BaseModel], part: str | int) -> list[type[BaseModel]]:
    """Models one part further: a field's, or the member of a union that the tag `part` names."""
    if isinstance(part, str) and part in model.model_fields:
        return members(model.model_fields[part].annotation)
    named = [model.model_fields[d] for d in DISCRIMINATORS if d in model.model_fields]
    return [model] if any(part in get_args(field.annotation) for field in named) else []


def members(annotation: Any) -> list[type[BaseModel]]:
    """Every model that an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    args = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return [model for arg in args for model in members(arg)]


def _description(root: Any, loc: tuple[str | int, ...]) -> str:
    """What a missing field is for."""
    models = members(root)
    for part in loc[:-1]:
        models = [inner for model in models for inner in _step(model, part)] or models
    for model in models:
        field = model.model_fields.get(str(loc[-1]))
        if field is not None and field.description:
            return field.description
    return ""


def _kinds(root: Any, loc: tuple[str | int, ...]) -> str:
    models = members(root)
    for part in loc:
        models = [inner for model in models for inner in _step(model, part)] or models
    return ", ".join(
        f"`{get_args(m.model_fields['kind'].annotation)[0]}`" for m in models if "kind" in m.model_fields
    )


def _noun(name: str) -> str:
    return "environment" if name == "the spec" else f"`{name}`"
