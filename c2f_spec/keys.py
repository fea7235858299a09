"""Compute content keys, one SHA-256 for what a stage computes (DESIGN: "Stages, keys, plan"), and digests of code."""

from __future__ import annotations

import ast
import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of `value`. Raises `TypeError` or `ValueError` for values that JSON does not have.

    There is deliberately no `default=`: a value that falls back to `repr` would fork the key from run to run.
    """
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_key(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON text of `value`, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def stage_digest(stage: StageFile) -> str:
    """Return the digest of a stage file without the store's address and the scratch folder, which differ between pods."""
    return content_key(stage.model_dump(mode="json", exclude={"store", "scratch"}))


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Return every leaf of nested maps by its dotted path; lists and empty maps are leaves."""
    if isinstance(value, dict) and value:
        return {
            k: v
            for key, item in value.items()
            for k, v in flatten(item, f"{path}.{key}" if path else key).items()
        }
    return {path: value}


def code_digest(content: bytes) -> str:
    """Return a digest of a Python file's syntax tree, without comments, docstrings and formatting, as 16 hex digits.

    The tree is serialised by `_plain`: `ast.dump` differs between versions of Python, and the laptop that plans and
    the image that runs need not have the same. Raises `SyntaxError`.
    """
    return tree_digest(ast.parse(content))


def tree_digest(tree: ast.Module) -> str:
    """Return the digest of a syntax tree, as `code_digest` has it for a file."""
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest()[:16]


def _plain(node: Any) -> Any:
    """Return a syntax tree as nested tuples, without positions, docstrings, empty fields and fields of new versions."""
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
    """Return whether a node is a string statement: a docstring, or a note below an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


# Name the kinds of stages. This module imports nothing heavy: the help of the command prints them.


STAGE_KINDS = ("prepare", "distil", "filter", "sft", "grpo", "evaluate", "baseline")
"""All kinds, in the order in which a plan can have them."""

TRAINING: tuple[Literal["sft"], Literal["grpo"]] = ("sft", "grpo")
"""The kinds that train the student, in the order in which they run; each has checkpoints to resume from."""
