"""Translate pydantic's errors into messages and hints in the words of the spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from c2f_spec.errors import shorten
from c2f_spec.language.suggestions import closest_match, list_choices, suggest
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
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails


PATTERN_DESCRIPTIONS = {
    NAME_PATTERN: "a name is lower-case letters, digits and dashes, and starts and ends with a letter or digit",
    REVISION_PATTERN: "a revision is a full commit hash (40 hex digits); branches move",
    DIGEST_PATTERN: "a digest is 64 hex digits",
    ENDPOINT_PATTERN: "an endpoint is a URL with http or https, and without user or password",
    TAG_PATTERN: "a tag is lower-case letters and underscores",
    DNS_PATTERN: "a Kubernetes name is lower-case letters, digits, dashes and dots, and starts and ends with a letter or digit",
    LABEL_KEY_PATTERN: "a key is `name` or `domain/name`: letters, digits, dashes, dots and underscores",
    LABEL_VALUE_PATTERN: "a label's value is letters, digits, dashes, dots and underscores",
    VARIABLE_PATTERN: "a variable is upper-case letters, digits and underscores",
    QUANTITY_PATTERN: "an amount is a number with or without a unit: 500m, 8, 64Gi, 1.5Ti",
    IMAGE_PATTERN: "an image is named by its digest, registry/name@sha256:<64 hex digits>; tags move",
    DRIVER_PATTERN: "a driver is a version, for example 535.129.03",
    STORE_PATTERN: "a store is a URL without user or password, for example s3://bucket/c2f",
}

EXPECTED_TYPES = {
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


def _field_name(loc: Sequence[str | int]) -> str:
    """Return the name of a field as messages have it: an item of a list as `checkpoints[1]`."""
    if not loc:
        return "the spec"
    if isinstance(loc[-1], int) and len(loc) > 1:
        return f"{shorten(str(loc[-2]))}[{loc[-1]}]"
    return shorten(str(loc[-1]))


def describe_error(root: Any, error: ErrorDetails) -> tuple[str, str, str, bool]:
    """Return code, message, hint, and whether the caret belongs under the key instead of the value."""
    kind, loc, ctx = error["type"], error["loc"], error.get("ctx", {})
    name = _field_name(loc)
    if kind == "extra_forbidden":
        return "C2F201", f"unknown field `{name}`", suggest_field(root, (*loc[:-1], name)), True
    if kind == "missing":
        where = f" in `{loc[-2]}`" if len(loc) > 1 else ""
        return "C2F202", f"missing field `{name}`{where}", _description(root, loc), True
    if kind == "union_tag_invalid":
        kinds = [k.strip("'") for k in str(ctx["expected_tags"]).split(", ")]
        by, tag = str(ctx["discriminator"]).strip("'"), str(ctx["tag"])
        return "C2F203", f"invalid {_noun(name)} {by} `{describe_value(tag)}`", suggest(tag, kinds), False
    if kind == "union_tag_not_found":
        return (
            "C2F204",
            f"missing field `kind` in `{name}`",
            f"set `kind` to one of {_kinds(root, loc)}",
            False,
        )
    if kind == "literal_error":
        allowed = [k.strip("'") for k in str(ctx["expected"]).replace(" or ", ", ").split(", ")]
        return (
            "C2F205",
            f"invalid value `{describe_value(error['input'])}` of `{name}`",
            suggest(describe_value(error["input"]), allowed),
            False,
        )
    if kind == "string_pattern_mismatch":
        return (
            "C2F206",
            PATTERN_DESCRIPTIONS.get(str(ctx["pattern"]), f"`{name}` has an invalid form"),
            "",
            False,
        )
    if kind in EXPECTED_TYPES:
        return (
            "C2F207",
            f"`{name}` must be {EXPECTED_TYPES[kind]}, not `{describe_value(error['input'])}`",
            "",
            False,
        )
    if kind in COMPARISONS:
        bound, words = COMPARISONS[kind]
        return (
            "C2F208",
            f"`{name}` is out of range: must be {words} {ctx[bound]:g}, not {describe_value(error['input'])}",
            "",
            False,
        )
    if kind == "value_error":
        return "C2F209", str(ctx["error"]), "", False
    if kind == "too_short":
        return "C2F210", f"`{name}` is empty", f"add at least {ctx['min_length']}", False
    if kind == "string_too_long":
        return (
            "C2F211",
            f"`{name}` is too long: more than {ctx['max_length']} characters",
            "shorten it",
            False,
        )
    return "C2F299", f"`{name}`: {error['msg'][0].lower()}{error['msg'][1:]}", "", False


def describe_value(value: Any) -> str:
    """Return a value on one short line; maps and lists by their type."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return shorten(str(value))


def fields_at(root: Any, loc: tuple[str | int, ...]) -> list[str]:
    """Return the names of the fields that are allowed at a pydantic location."""
    models = models_of_annotation(root)
    for part in loc:
        models = [inner for model in models for inner in _step(model, part)] or models
    return sorted({name for model in models for name in model.model_fields})


def _step(model: type[BaseModel], part: str | int) -> list[type[BaseModel]]:
    """Return the models one part further: those of a field, or the member of a union with the tag `part`."""
    if isinstance(part, str) and part in model.model_fields:
        return models_of_annotation(model.model_fields[part].annotation)
    named = [model.model_fields[d] for d in DISCRIMINATORS if d in model.model_fields]
    return [model] if any(part in get_args(field.annotation) for field in named) else []


def models_of_annotation(annotation: Any) -> list[type[BaseModel]]:
    """Return every model that an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    args = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return [model for arg in args for model in models_of_annotation(arg)]


def _description(root: Any, loc: tuple[str | int, ...]) -> str:
    """Return the description of a missing field."""
    models = models_of_annotation(root)
    for part in loc[:-1]:
        models = [inner for model in models for inner in _step(model, part)] or models
    for model in models:
        field = model.model_fields.get(str(loc[-1]))
        if field is not None and field.description:
            return field.description
    return ""


def _kinds(root: Any, loc: tuple[str | int, ...]) -> str:
    models = models_of_annotation(root)
    for part in loc:
        models = [inner for model in models for inner in _step(model, part)] or models
    return ", ".join(
        f"`{get_args(m.model_fields['kind'].annotation)[0]}`" for m in models if "kind" in m.model_fields
    )


def _noun(name: str) -> str:
    return "environment" if name == "the spec" else f"`{name}`"


FOREIGN_NAMES = {
    "batch_size": "batch",
    "train_batch_size": "batch",
    "per_device_train_batch_size": "batch",
    "benchmarks": "datasets",
    "test_sets": "datasets",
    "clip_range": "epsilon",
    "cliprange": "epsilon",
    "clip_eps": "epsilon",
    "commit": "revision",
    "frames": "max_frames",
    "num_frames": "max_frames",
    "kl": "beta",
    "kl_coef": "beta",
    "kl_coeff": "beta",
    "kl_loss_coef": "beta",
    "lora_alpha": "alpha",
    "lora_r": "rank",
    "r": "rank",
    "lora": "tuner",
    "lr": "learning_rate",
    "lr_scheduler_type": "schedule",
    "scheduler": "schedule",
    "max_completion_length": "max_new_tokens",
    "max_grad_norm": "grad_clip",
    "gradient_clipping": "grad_clip",
    "max_steps": "steps",
    "max_tokens": "max_new_tokens",
    "max_length": "max_new_tokens",
    "model_name_or_path": "model",
    "group_size": "generations",
    "num_generations": "generations",
    "num_samples": "samples",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "random_seed": "seed",
    "scale_rewards": "scale",
    "warmup_ratio": "warmup",
}
"""Names of fields in TRL, verl, transformers and peft to the names in the schema; a test checks the latter."""

REPLACED_FIELDS = {"enabled": "set `hard_policy` to `hint`, `keep` (w/o Hint) or `drop` (w/o Hard)"}
"""Fields that do not exist because another field has the same meaning, and the hint for each."""


def suggest_field(root: Any, loc: tuple[str | int, ...]) -> str:
    """Return the hint for the unknown field at the end of `loc`: its name here, its section, or the nearest name."""
    name, allowed = str(loc[-1]), fields_at(root, loc[:-1])
    if name in REPLACED_FIELDS:
        return REPLACED_FIELDS[name]
    usual = FOREIGN_NAMES.get(name.lower().replace("-", "_"))
    if usual in allowed:
        return f"use `{usual}`"
    homes, section = _homes(root), [str(part) for part in loc[:-1]]
    near = closest_match(name, allowed)
    if near and name not in homes:
        return f"did you mean `{near}`?"
    for word in (name, usual):
        if word not in homes:
            continue
        kinds = homes[word].get(".".join(section[:-1]))
        if kinds and section[-1] not in homes:  # the last part is not a field but the tag of a union
            return f"`{word}` is a field of kind {' or '.join(f'`{k}`' for k in kinds)}"
        verb = f"move `{name}`" if word == name else f"rename `{name}` to `{word}` and move it"
        return f"{verb} {_describe_sections(list(homes[word]), section)}"
    return list_choices(allowed)


def _homes(root: Any) -> dict[str, dict[str, list[str]]]:
    """Return field to the sections that have it, as dotted paths (`""` is the top), and the kinds of that section."""
    found: dict[str, dict[str, list[str]]] = {}

    def walk(model: type[BaseModel], path: tuple[str, ...]) -> None:
        kind = next((model.model_fields[d] for d in DISCRIMINATORS if d in model.model_fields), None)
        for name, field in model.model_fields.items():
            kinds = found.setdefault(name, {}).setdefault(".".join(path), [])
            kinds += get_args(kind.annotation) if kind is not None else ()
            for inner in models_of_annotation(field.annotation):
                walk(inner, (*path, name))

    for model in models_of_annotation(root):
        walk(model, ())
    return found


def _describe_sections(homes: list[str], section: list[str]) -> str:
    """Return words for at most three sections; sections below the present one take precedence."""
    inside = [h for h in homes if h.split(".")[: len(section)] == section] if section else []
    chosen = (inside or homes)[:3]
    if "" in chosen:
        return "to the top of the spec, beside `name`"
    return "to " + " or ".join(f"`{home}`" for home in chosen)
