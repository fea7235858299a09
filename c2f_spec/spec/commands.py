"""The commands that bring files into a store, as messages name them."""

from __future__ import annotations


def model_add(name: str) -> str:
    """What stages a model, which is called repository@revision."""
    repository, _, revision = name.partition("@")
    return f"c2f-spec model add {repository} --revision {revision} --from DIR|hf|modelscope"
