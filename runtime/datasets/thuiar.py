"""CH-SIMS, CH-SIMS v2, CMU-MOSI and CMU-MOSEI as thuiar distributes them. `folder` -> rows (METHOD 5.1).

    label.csv                      video_id, clip_id, text, label, [label_T, label_A, label_V], annotation, mode
    Raw/<video_id>/<clip_id>.mp4

CH-SIMS v2's table is `meta.csv`. Ids are text: they have leading zeros ("0001") and leading dashes. A file is named by
its clip id, or by that padded to four digits. Older tables have a column `label_by` and no labels of single modalities.
Nothing is shipped and nothing is downloaded: users stage their own copy, under its terms.

Source of the layout: the reader of MSA-FET, https://github.com/thuiar/MMSA-FET.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import DATASETS, Split
from runtime.datasets.labelled_rows import ID, ID_RULE, LabelledRow, checked, read_cells
from runtime.text.clips import polarity_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset

FILES = {
    name: "meta.csv" if name == "ch-sims-v2" else "label.csv"
    for name, facts in DATASETS.items()
    if facts.reader == "thuiar"
}
MEDIA = "Raw"
NEEDED = ("video_id", "clip_id", "text", "label", "mode")
LICENCE = "research use, under the terms of its authors; CH-SIMS v2 states none"
SOURCE = "https://github.com/thuiar (links to the authors' copies)"
COPY_HINT = "compare it with the copy that its authors distribute"


def read(name: str, folder: Path) -> list[LabelledRow]:
    """Return every row of data set `name`. Raises `InvalidData` with the line of each problem, the first ten."""
    rows, problems = read_table(name, folder)
    return checked(folder / FILES[name], rows, problems, COPY_HINT)


def read_table(name: str, folder: Path) -> tuple[list[LabelledRow], list[str]]:
    """Return the valid rows and the problems of the others. Raises `InvalidData` if the table cannot be read.

    `annotation`, where there is one, must be the polarity of the label.
    """
    facts = DATASETS[name]
    rows: dict[str, LabelledRow] = {}
    lines: dict[str, int] = {}
    problems = []
    file = FILES[name]
    for number, cells in read_cells(folder / file, NEEDED, COPY_HINT):
        try:
            row = _row(facts, cells)
        except ValueError as error:
            problems.append(f"{file}:{number}: {error}")
            continue
        if row.id in lines:
            problems.append(f"{file}:{number}: duplicate clip `{row.id}`, first on line {lines[row.id]}")
        else:
            rows[row.id], lines[row.id] = row, number
    return list(rows.values()), problems


def clip_path(name: str, folder: Path, row: LabelledRow) -> Path:
    """Return the file of a clip. Raises `InvalidData` naming the paths that were tried."""
    assert row.source is not None
    video, clip = row.source
    tried = [folder / MEDIA / video / f"{stem}.mp4" for stem in dict.fromkeys((clip, clip.zfill(4)))]
    for path in tried:
        if path.is_file():
            return path
    raise InvalidData(
        f"clip `{row.id}`: file not found: {' or '.join(map(str, tried))}",
        hint=f"{COPY_HINT}, or remove its row; `c2f-spec data check {name} --from DIR` lists all such clips",
    )


def _row(facts: Dataset, cells: Mapping[str, str] | None) -> LabelledRow:
    """Return a row. Raises `ValueError` with the problem."""
    if cells is None:
        raise ValueError("wrong number of cells; put quotes around a cell with a comma in it")
    video, clip, mode = (cells[name].strip() for name in ("video_id", "clip_id", "mode"))
    for id_ in (video, clip):
        if not ID.fullmatch(id_):
            raise ValueError(f"invalid id `{id_}`: {ID_RULE}")
    splits = {split: split for split in get_args(Split)}
    if mode not in splits:
        raise ValueError(f"invalid split `{mode}`: use train, valid or test")
    try:
        label = float(cells["label"])
    except ValueError:
        raise ValueError(f"label `{cells['label']}` is not a number") from None
    if not facts.low <= label <= facts.high:  # also NaN
        raise ValueError(f"label {label:g} is out of range [{facts.low:g}, {facts.high:g}]")
    annotation = (cells.get("annotation") or "").strip()
    # The polarity may be that of the label's sign or that of its class.
    if annotation and annotation.lower() not in (
        polarity_of(label, "mosi"),
        polarity_of(label, facts.family),
    ):
        raise ValueError(f"annotation {annotation} does not match label {label:g}")
    return LabelledRow(f"{video}$_${clip}", splits[mode], cells["text"].strip(), label, (video, clip))
