"""Parts that all readers of data sets share: the row, a table in CSV, splits and limits by hash.

Clips are assigned to splits and chosen under a limit by a hash of the clip's id, never by their place in the file:
neighbours are often sentences of one review, and a split or a limit by order would follow the topics of the file.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.spec.datasets import Split

ID = re.compile(r"[\w-][\w.-]*", re.ASCII)
ID_RULE = "only letters, digits, `_`, `-` and `.` are allowed"
MAX_PROBLEMS = 10
"""Problems of a table that a message lists."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One labelled clip as distributed. `label` is in the data set's units."""

    id: str
    split: Split
    text: str
    label: float
    source: tuple[str, str] | None = None
    """Folder and file of a recording; `None` where voice and face are rendered."""


def read_cells(
    path: Path, columns: Sequence[str], hint: str
) -> Iterator[tuple[int, Mapping[str, str] | None]]:
    """Yield line number and cells by column of each row of a CSV table; `None` if the number of cells is wrong.

    Raises `InvalidData` if the file is missing or not a table in UTF-8, or lacks one of `columns`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = [column for column in columns if column not in (table.fieldnames or ())]
            if missing:
                raise InvalidData(
                    f"{path}:1: missing column {', '.join(missing)}", hint=f"it needs {', '.join(columns)}"
                )
            for cells in table:
                yield table.line_num, None if None in cells or None in cells.values() else cells
    except OSError as error:
        raise InvalidData(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidData(
            f"{path} is not a CSV table in UTF-8: {error}", hint="save it as CSV in UTF-8"
        ) from error


def checked(path: Path, rows: list[LabelledRow], problems: Sequence[str], hint: str) -> list[LabelledRow]:
    """Return `rows`. Raises `InvalidData` with the first of the `problems` of their table, or if there is no row."""
    if problems:
        more = f"\n  and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        listed = "".join(f"\n  {problem}" for problem in problems[:MAX_PROBLEMS])
        raise InvalidData(f"{path} has {len(problems)} problems:{listed}{more}", hint=hint)
    if not rows:
        raise InvalidData(f"{path} has no rows", hint=hint)
    return rows


def hash_fraction(id: str, purpose: str) -> float:  # noqa: A002
    """Return a number in [0, 1) that depends on `id` and `purpose` alone."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{id}".encode()).digest()[:6], "big") / 2**48


def limit_rows(rows: Iterable[LabelledRow], limit: Mapping[str, int | None]) -> list[LabelledRow]:
    """Return at most `limit[split]` rows of each split (absent or `None`: all), split by split in the order of a hash.

    A smaller limit keeps a subset of what a larger one keeps.
    """
    ordered = sorted(rows, key=lambda row: (hash_fraction(row.id, "limit"), row.id))
    by_split = {split: [row for row in ordered if row.split == split] for split in ALL}
    return [row for split, members in by_split.items() for row in members[: limit.get(split)]]
