"""The key of an endpoint: in an environment variable, or in a file that one names. Never in a spec or a stage file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.errors import StageSpecWrong

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import Endpoint


def key_of(endpoint: Endpoint) -> str | None:
    """The key; `None` for an endpoint that wants none. Raises `StageSpecWrong` naming the variable that lacks it."""
    name = endpoint.variable
    if name is None:
        return None
    key = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE")
    if not key and path:
        try:
            key = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StageSpecWrong(f"{name}_FILE names {path}, which cannot be read") from error
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise StageSpecWrong(
            f"the key of {endpoint.url} is not there: the variable {name} is empty or no line of ASCII",
            hint=f"set {name}, or {name}_FILE to the path of a file with it",
        )
    return key
