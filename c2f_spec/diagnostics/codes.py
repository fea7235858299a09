"""The catalogue of diagnostic codes, `codes.toml`: `c2f-spec explain C2F107`, and the rules of SARIF."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple


class CodeEntry(NamedTuple):
    """Explain one code. The examples are whole documents (1xx), lock files or environments (4xx), or sections of a spec."""

    title: str
    text: str
    """What is wrong and why it matters, in one paragraph."""
    wrong: str = ""
    right: str = ""


@cache
def code_entries() -> dict[str, CodeEntry]:
    """Return the entry of every code, in the order of codes."""
    raw = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        code: CodeEntry(**entry | {"text": entry["text"].replace("\n", " ")}) for code, entry in raw.items()
    }
