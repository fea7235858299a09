"""Build the JSON Schema for editors from the models: `c2f-spec schema`, committed as `c2f_spec/schemas/v1.json`.

The vocabulary is draft-07, because yaml-language-server supports that: `definitions` and no `$defs`, nothing beside a
`$ref`, `anyOf` with a fixed `kind` in place of OpenAPI's `discriminator`.

Editors read YAML with types and the compiler reads it without, so the schema must accept all that the compiler accepts:
a number may be quoted (bounds apply to unquoted ones; the compiler checks both), text may look like a number (an
all-digit revision), true and false may be any of YAML's words for them. It is weaker than the compiler: it has no rules
between fields, it reports `anyOf` where the compiler names the mistake, and inside a section no field is required,
because a spec may inherit it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import c2f_spec
from c2f_spec.spec.base import DISCRIMINATORS
from c2f_spec.spec.experiment import Experiment

COMMITTED = Path(c2f_spec.__file__).parent / "schemas" / "v1.json"

TRUTH = [True, False, 0, 1, "true", "false", "yes", "no", "on", "off", "y", "n", "t", "f"]
"""Values that read as true or false."""
QUOTED_INTEGER = {"type": "string", "pattern": r"^\s*[+-]?[0-9][0-9_]*(\.0*)?\s*$"}
QUOTED_NUMBER = {
    "type": "string",
    "pattern": r"^\s*[+-]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$",
}
MAP = {"type": "object"}
NAMED_FILE = {"type": "string"}
AXES = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}
LANGUAGE: dict[str, Any] = {
    "extends": {
        "description": "A file, or an ordered list of files, that this spec builds on: maps merge, lists replace.",
        "anyOf": [NAMED_FILE, {"type": "array", "items": NAMED_FILE, "minItems": 1}],
    },
    "template": {"description": "A file with `params` that this spec fills in by `with`.", **NAMED_FILE},
    "with": {"description": "Values of the template's parameters.", **MAP},
    "params": {
        "description": "Parameters of a template, by name.",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["kind"],
            "properties": {
                "kind": {"enum": ["int", "float", "str", "bool", "choice"]},
                "choices": {"type": "array", "minItems": 1},
                "description": {"type": "string"},
                **{name: {} for name in ("default", "min", "max")},
            },
            "additionalProperties": False,
        },
    },
    "sweep": {
        "description": "Variants of this spec. Axes are dotted paths of fields.",
        "type": "object",
        "properties": {
            "matrix": AXES,
            "zip": AXES,
            "ablate": AXES,
            "include": {"type": "array", "items": MAP},
            "exclude": {"type": "array", "items": MAP},
            "variants": {"type": "object", "additionalProperties": MAP},
            "seeds": {"type": "array", "minItems": 1},
            "max_variants": {"anyOf": [{"type": "integer", "minimum": 1}, QUOTED_INTEGER]},
        },
        "additionalProperties": False,
    },
}
"""Fields of the language, which are resolved before the models validate a spec."""
ANNOTATIONS = ("description", "default", "examples")
"""Properties of a field that stay beside the reference to its type."""


def json_schema() -> dict[str, Any]:
    """Return the schema of a spec."""
    raw = Experiment.model_json_schema()
    definitions = raw.pop("$defs")
    converted = {name: _node(node, definitions) for name, node in sorted(definitions.items())}
    required, spec = raw.pop("required"), _node(raw, definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "c2f-spec v1",
        **spec,
        "properties": {**spec["properties"], **LANGUAGE},
        "anyOf": [{"required": required}, {"required": ["extends"]}, {"required": ["template"]}],
        "definitions": converted,
    }


def schema_text() -> str:
    """Return the text of the schema that is committed and printed."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def _node(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Convert a node of pydantic's schema to draft-07."""
    beside = {k: node[k] for k in ANNOTATIONS if k in node and not isinstance(node[k], dict)}
    if node.get("class", "identity") != "identity":
        beside["description"] = f"{node.get('description', '')} ({node['class']}: in no key)".strip()
    return beside | _type(node, definitions)


def _type(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "named" in node:
        return _union(node, definitions)
    if "$ref" in node:
        return {"allOf": [{"$ref": _reference(node["$ref"])}]}
    if "allOf" in node:
        return {"allOf": [_node(part, definitions) for part in node["allOf"]]}
    if "anyOf" in node:
        return {"anyOf": [_node(part, definitions) for part in node["anyOf"]]}
    if "const" in node or "enum" in node:
        return _words(node.get("enum", [node.get("const")]))
    return _plain(node, definitions)


def _plain(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Convert a node by its type. Raises `TypeError` for a type that no model has."""
    match node["type"]:
        case "object":
            fields = {name: _node(field, definitions) for name, field in node.get("properties", {}).items()}
            return {"type": "object", "properties": fields, "additionalProperties": False}
        case "array":
            limits = {k: node[k] for k in ("minItems",) if k in node}
            return {"type": "array", "items": _node(node["items"], definitions), **limits}
        case "integer" | "number" as kind:
            bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
            quoted = QUOTED_INTEGER if kind == "integer" else QUOTED_NUMBER
            return {"anyOf": [{"type": kind, **{k: node[k] for k in bounds if k in node}}, quoted]}
        case "string":
            limits = {k: node[k] for k in ("pattern", "maxLength") if k in node}
            return {"type": ["string", "number", "boolean"], **limits}
        case "boolean":
            return {"enum": TRUTH}
        case "null":
            return {"type": "null"}
        case other:
            raise TypeError(f"type {other} is not supported")


def _words(words: list[Any]) -> dict[str, Any]:
    """Convert an enumeration; a word that looks like a number may also be written as one."""
    return {"enum": [*words, *(int(w) for w in words if isinstance(w, str) and w.isdigit())]}


def _union(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Convert a union with a discriminator: a map with its kind, or the kind alone if nothing else is required."""
    members = {tag: ref.rpartition("/")[2] for tag, ref in node["discriminator"]["mapping"].items()}
    bare = [tag for tag, name in members.items() if not _required(definitions[name])]
    maps = [{"$ref": f"#/definitions/{name}"} for name in members.values()]
    return {"anyOf": [{"enum": bare}, *maps]} if bare else {"anyOf": maps}


def _required(definition: dict[str, Any]) -> list[str]:
    """Return the required fields without the discriminator."""
    return [name for name in definition.get("required", []) if name not in DISCRIMINATORS]


def _reference(ref: str) -> str:
    return ref.replace("#/$defs/", "#/definitions/")
