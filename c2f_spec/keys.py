"""Content keys: what a stage computes, as one SHA-256 (DESIGN: "Stages, keys, plan")."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """The one JSON text of `value`. Raises `TypeError` or `ValueError` on what has none.

    There is deliberately no `default=`: a value that falls back to `repr` would fork the key from run to run.
    """
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_key(value: Any) -> str:
    """64 hex digits that are equal exactly when the canonical texts are."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of nested maps by its dotted path; an empty map or list is a leaf."""
    if isinstance(value, dict) and value:
        return {
            k: v
            for key, item in value.items()
            for k, v in leaves(item, f"{path}.{key}" if path else key).items()
        }
    return {path: value}
