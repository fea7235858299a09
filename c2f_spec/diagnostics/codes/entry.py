"""What is said of a code."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """`wrong` and `right` are whole documents (1xx), files of pins or environments (4xx), or sections of a spec."""

    title: str
    text: str
    """What is wrong and why it matters; a sentence from the paper or METHOD.md says where it comes from."""
    wrong: str = ""
    right: str = ""
