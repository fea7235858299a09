"""The stored stage that is nearest to one that must run: the one with the fewest other leaves.

A plan of thousands of stages is held against thousands of stored ones, so leaves are numbered and rows compared as
arrays: 4,000 against 4,000 take about half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.keys import canonical, leaves

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Nearest:
    """Stored preimages of one kind of stage, by key."""

    def __init__(self, stored: dict[str, dict[str, Any]]) -> None:
        import numpy as np

        self.keys = list(stored)
        self.leaves = [leaves(stored[key]) for key in self.keys]
        self.columns = {
            path: i for i, path in enumerate(dict.fromkeys(p for row in self.leaves for p in row))
        }
        self.numbers: dict[tuple[str, str], int] = {}
        """Of a path's value; 0 is no such leaf, -1 (never in a row here) a value that no stored stage has."""
        self.rows: NDArray[np.int32] = np.array([self._row(row) for row in self.leaves], dtype=np.int32)
        # [stored, path]

    def to(self, preimage: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Key and leaves of the nearest; of several the first. Nothing if nothing is stored."""
        import numpy as np

        if not self.keys:
            return None
        wanted = np.array(self._row(leaves(preimage), known=True), dtype=np.int32)
        best = int((self.rows != wanted).sum(axis=1).argmin())
        return self.keys[best], self.leaves[best]

    def _row(self, row: dict[str, Any], *, known: bool = False) -> list[int]:
        """Paths that no stored stage has count the same against all of them, and are left out."""
        numbers = [0] * len(self.columns)
        for path, value in row.items():
            column = self.columns.get(path)
            if column is not None:
                at = (path, value if isinstance(value, str) else canonical(value))
                numbers[column] = (
                    self.numbers.get(at, -1) if known else self.numbers.setdefault(at, len(self.numbers) + 1)
                )
        return numbers
