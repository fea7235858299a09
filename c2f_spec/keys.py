"""Content keys: what a stage computes, as one SHA-256 (DESIGN: "Stages, keys, plan"); and digests of the code in them."""

from __future__ import annotations

import ast
import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile


def canonical_json(value: Any) -> str:
    """The one JSON text of `value`. Raises `TypeError` or `ValueError` on what has none.

    There is deliberately no `default=`: a value that falls back to `repr` would fork the key from run to run.
    """
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_key(value: Any) -> str:
    """64 hex digits that are equal exactly when the canonical texts are."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def stage_digest(stage: StageFile) -> str:
    """Of what a stage is told, but not of the store's address and the scratch folder: a pod has its own of both."""
    return content_key(stage.model_dump(mode="json", exclude={"store", "scratch"}))


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of nested maps by its dotted path; an empty map or list is a leaf."""
    if isinstance(value, dict) and value:
        return {
            k: v
            for key, item in value.items()
            for k, v in flatten(item, f"{path}.{key}" if path else key).items()
        }
    return {path: value}


def code_digest(content: bytes) -> str:
    """16 hex digits, enough to tell versions of one file of Python apart: of its syntax tree without comments,
    docstrings and formatting.

    The tree is written by our own walk: `ast.dump` differs between versions of Python, and the laptop that plans and
    the image that runs need not have the same. Raises `SyntaxError`.
    """
    return hashlib.sha256(repr(_plain(ast.parse(content))).encode()).hexdigest()[:16]


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples: no positions, no docstrings, nothing empty, nothing that versions add."""
    if isinstance(node, list):
        return tuple(_plain(item) for item in node)
    if not isinstance(node, ast.AST):
        return node if not isinstance(node, (bytes, complex)) else repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(
            node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            value = [item for item in value if not _is_text(item)]  # noqa: PLW2901
        if value not in (None, []) and name not in ("kind", "type_comment", "type_ignores"):
            fields.append((name, _plain(value)))
    return (type(node).__name__, *fields)


def _is_text(node: ast.AST) -> bool:
    """A string that stands alone: a docstring, or a note below an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
