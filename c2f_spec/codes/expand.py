"""Codes 5xx: templates, inheritance, sweeps, and `--set`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.codes.entry import Entry

ENTRIES: dict[str, Entry] = {}
