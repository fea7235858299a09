"""What the reader of a data set returns, and how clips are dealt to splits and chosen under a limit.

Both use a hash of the clip's id, never its place in the file: neighbours are often sentences of one review, and a
split or a limit by order would follow the topics of the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2f_spec.spec.datasets import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from c2f_spec.spec.datasets import Split


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled clip as distributed. `label` is in the data set's units."""

    id: str
    split: Split
    text: str
    label: float
    source: tuple[str, str] | None = None
    """Video and clip of a recording; none where voice and face are drawn."""


def hash_fraction(id: str, what: str) -> float:  # noqa: A002
    """A number in [0, 1) that depends on nothing but `id` and on `what` it is for."""
    return int.from_bytes(hashlib.sha256(f"{what}:{id}".encode()).digest()[:6], "big") / 2**48


def limit_rows(rows: Iterable[Row], limit: Mapping[str, int | None]) -> list[Row]:
    """At most `limit[split]` rows of each split (absent or `None`: all), split by split in the order of a hash.

    A smaller limit keeps a subset of what a larger one keeps.
    """
    ordered = sorted(rows, key=lambda row: (hash_fraction(row.id, "limit"), row.id))
    by_split = {split: [row for row in ordered if row.split == split] for split in ALL}
    return [row for split, members in by_split.items() for row in members[: limit.get(split)]]
