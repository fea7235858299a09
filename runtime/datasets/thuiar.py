"""CH-SIMS, CH-SIMS v2, CMU-MOSI and CMU-MOSEI as thuiar distributes them. `folder` -> rows (METHOD 5.1).

    label.csv                      video_id, clip_id, text, label, [label_T, label_A, label_V], annotation, mode
    Raw/<video_id>/<clip_id>.mp4

CH-SIMS v2's table is `meta.csv`. Ids are text: they have leading zeros ("0001") and leading dashes. A file is named by
its clip id, or by it padded to four digits. Older tables have a column `label_by` and no labels of single modalities.
Nothing is shipped and nothing is fetched: users stage their own copy, under its terms.

Source of the layout: the reader of MSA-FET, https://github.com/thuiar/MMSA-FET.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, get_args

from c2f_spec.errors import DataWrong
from c2f_spec.spec.datasets import DATASETS, Split
from runtime.datasets.rows import Row
from runtime.text.clips import polarity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset

FILES = {"ch-sims": "label.csv", "ch-sims-v2": "meta.csv", "cmu-mosi": "label.csv", "cmu-mosei": "label.csv"}
MEDIA = "Raw"
NEEDED = ("video_id", "clip_id", "text", "label", "mode")
LICENCE = "research use, under the terms of its authors; CH-SIMS v2 states none"
SOURCE = "https://github.com/thuiar (links to the authors' copies)"
COPY_HINT = "compare it with the copy that its authors distribute"
ID = re.compile(r"[\w-][\w.-]*", re.ASCII)
MANY = 10
"""Problems that a message shows."""


def read(name: str, folder: Path) -> list[Row]:
    """Every row of data set `name`. Raises `DataWrong` with each wrong line, the first ones of many."""
    rows, problems = read_table(name, folder)
    path = folder / FILES[name]
    if problems:
        more = f"\n  and {len(problems) - MANY} more" if len(problems) > MANY else ""
        told = "".join(f"\n  {problem}" for problem in problems[:MANY])
        raise DataWrong(f"{path} has {len(problems)} wrong rows:{told}{more}", hint=COPY_HINT)
    if not rows:
        raise DataWrong(f"{path} has no rows", hint=COPY_HINT)
    return rows


def read_table(name: str, folder: Path) -> tuple[list[Row], list[str]]:
    """The rows that are right, and what is wrong with each other one. Raises `DataWrong` for what is no such table.

    `annotation`, where it is there, must have the polarity of the label.
    """
    facts = DATASETS[name]
    rows: dict[str, Row] = {}
    lines: dict[str, int] = {}
    problems = []
    for number, cells in _cells(folder / FILES[name]):
        try:
            row = _row(facts, cells)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if row.id in lines:
            problems.append(f"line {number}: the clip `{row.id}` is that of line {lines[row.id]}, too")
        else:
            rows[row.id], lines[row.id] = row, number
    return list(rows.values()), problems


def clip_path(name: str, folder: Path, row: Row) -> Path:
    """The file of a clip. Raises `DataWrong` naming the places that were looked at."""
    assert row.source is not None
    video, clip = row.source
    tried = [folder / MEDIA / video / f"{stem}.mp4" for stem in dict.fromkeys((clip, clip.zfill(4)))]
    for path in tried:
        if path.is_file():
            return path
    raise DataWrong(
        f"the clip `{row.id}` has no file {' or '.join(map(str, tried))}",
        hint=f"{COPY_HINT}, or do without its row; `c2f-spec data check {name} --from DIR` lists all such clips",
    )


def _cells(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Number of a row's last line, and its cells by column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = [column for column in NEEDED if column not in (table.fieldnames or ())]
            if missing:
                raise DataWrong(
                    f"{path} has no column {', '.join(missing)}", hint=f"it needs {', '.join(NEEDED)}"
                )
            for cells in table:
                yield table.line_num, cells
    except OSError as error:
        raise DataWrong(f"cannot read {path}: {error.strerror}", hint=COPY_HINT) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataWrong(f"{path} is not a table in UTF-8: {error}", hint=COPY_HINT) from error


def _row(facts: Dataset, cells: Mapping[str, str]) -> Row:
    """Raises `ValueError` with what is wrong with the row."""
    if None in cells or None in cells.values():
        raise ValueError("not as many cells as columns")
    video, clip, mode = (cells[name].strip() for name in ("video_id", "clip_id", "mode"))
    for id_ in (video, clip):
        if not ID.fullmatch(id_):
            raise ValueError(f"`{id_}` is not an id of letters, digits, `_`, `-` and `.`")
    splits = {split: split for split in get_args(Split)}
    if mode not in splits:
        raise ValueError(f"`{mode}` is no split; train, valid or test")
    try:
        label = float(cells["label"])
    except ValueError:
        raise ValueError(f"`{cells['label']}` is not a label") from None
    if not facts.low <= label <= facts.high:  # also NaN
        raise ValueError(f"the label {label:g} is outside [{facts.low:g}, {facts.high:g}]")
    annotation = (cells.get("annotation") or "").strip()
    # Neither the polarity of the label's sign nor that of its class.
    if annotation and annotation.lower() not in (
        polarity_of(label, "mosi"),
        polarity_of(label, facts.family),
    ):
        raise ValueError(f"the label is {label:g}, and the annotation {annotation}")
    return Row(f"{video}$_${clip}", splits[mode], cells["text"].strip(), label, (video, clip))
