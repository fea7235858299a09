"""Which stages read a model as it was released: known before anything runs, and by what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

TRAINED = frozenset({"start", "model"})
"""Roles of inputs that bring a trained model, with its processor beside it."""


def reads_weights(preimage: Mapping[str, Any], roles: Collection[str]) -> bool:
    """Whether the stage of `preimage`, with inputs of these `roles`, reads the staged weights that it names."""
    kind, spec = preimage["stage"], preimage["spec"]
    if not preimage.get("models"):
        return False
    if kind == "distil":  # one that is served beside the stage is loaded there
        return bool(spec["teacher"].get("kind", "transformers") == "transformers")
    if kind == "grpo" and spec["grpo"].get("reference") == "base":
        return True
    return not TRAINED & set(roles)
