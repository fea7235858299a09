"""Clips of one's own: a folder with a table, the clips that it names, and a header. `folder` -> rows.

    dataset.yaml     language: en
                     low: -3
                     high: 3
                     family: mosi        # or sims: whose metrics and classes apply; decimals: 1
    clips.csv        id, file, text, label, split, [polarity]
    …                the files, below the folder

`id` is what reports call a clip: letters, digits, `_`, `-`, `.`. `file` is a path below the folder. `split` is train, valid or
test. `polarity`, where there is one, must be that of the label by the rule of the family. Other columns are left alone.
Every problem is told, with its line and its column.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from c2f_spec.errors import DataWrong, WrongUsage
from c2f_spec.spec.datasets import DATASETS, Split
from c2f_spec.spec.own_data import Own, Splits, off_centre
from runtime.datasets.rows import Row
from runtime.text.clips import POLARITIES, polarity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset

HEADER, TABLE = "dataset.yaml", "clips.csv"
FILES: dict[str, str] = {}
"""None is known by name."""
COLUMNS = ("id", "file", "text", "label", "split")
LICENCE = "its owner's"
SOURCE = "the folder that it was staged from"
ID = re.compile(r"[\w-][\w.-]*", re.ASCII)
MAX_PROBLEMS = 10
"""Problems that a message shows."""
EXAMPLE = "it says `language: en`, `low: -3`, `high: 3` and, if its classes are those of SIMS, `family: sims`"


def is_user_folder(folder: Path) -> bool:
    return (folder / HEADER).is_file()


def read_header(name: str, folder: Path) -> Own:
    """What `dataset.yaml` says. Raises `DataWrong` naming the field."""
    path = folder / HEADER
    try:
        said = dict(_header_fields(path))
        own = Own.model_validate({**said, "name": name})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataWrong(f"{path}: `{place}`: {first['msg']}", hint=EXAMPLE) from None
    if own.low >= own.high:
        raise DataWrong(f"{path}: `low` is {own.low:g} and `high` is {own.high:g}", hint=EXAMPLE)
    if own.low != -own.high:
        message, hint = off_centre(own.low, own.high)
        raise DataWrong(f"{path}: {message}", hint=hint)
    return own


def _header_fields(path: Path) -> Iterator[tuple[str, str]]:
    """Words and values of a map of one level, which is all that a header is."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataWrong(f"cannot read {path}: {error}", hint=EXAMPLE) from error
    for number, line in enumerate(lines, start=1):
        told = line.partition("#")[0].rstrip()
        word, colon, value = told.partition(":")
        if not told or told == "---":
            continue
        if not colon or not word.isidentifier() or not value.strip():
            raise DataWrong(f"{path}:{number}: `{told}` is not `word: value`", hint=EXAMPLE)
        yield word, _unquote(value.strip())


def _unquote(value: str) -> str:
    """Without the quotes that YAML allows around it."""
    quoted = len(value) > 1 and value[0] in "'\"" and value[0] == value[-1]
    return value[1:-1] if quoted else value


def find_dataset(name: str, folder: Path) -> Dataset:
    """Of a data set that is known by name, or that `folder` tells of itself. Raises `WrongUsage` if it is neither."""
    if name in DATASETS:
        return DATASETS[name]
    if is_user_folder(folder):
        return read_header(name, folder).facts
    raise WrongUsage(
        f"no data set is called `{name}`, and {folder} has no {HEADER} that would tell of one's own",
        hint=f"one of {', '.join(DATASETS)}; or write {HEADER}: {EXAMPLE}",
    )


def declare(own: Own, rows: Sequence[Row]) -> Own:
    """With the clips counted: what a spec says of it."""
    counted = Counter(row.split for row in rows)
    return Own.model_validate({**own.model_dump(), "clips": dict(counted)})


def check_declared(said: Own, folder: Path, rows: Sequence[Row]) -> None:
    """What the spec says is what the files say. Raises `DataWrong` naming each difference."""
    there = declare(read_header(said.name, folder), rows)
    differ = [
        f"`{field}` is {_format_value(getattr(there, field))} there and {_format_value(getattr(said, field))} in the spec"
        for field in Own.model_fields
        if field != "seconds" and getattr(there, field) != getattr(said, field)
    ]
    if differ:
        raise DataWrong(
            f"the staged copy of `{said.name}` is not what `data.own` says: {'; '.join(differ)}",
            hint="correct the spec, or stage the copy that it means",
        )


def _format_value(value: Any) -> str:
    if isinstance(value, Splits):
        return ", ".join(f"{count} {split}" for split, count in value if count) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def read(name: str, folder: Path) -> list[Row]:
    """Every row. Raises `DataWrong` with each wrong line and column, the first ones of many."""
    rows, problems = read_table(name, folder)
    path = folder / TABLE
    if problems:
        more = f"\n  and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
        told = "".join(f"\n  {problem}" for problem in problems[:MAX_PROBLEMS])
        raise DataWrong(
            f"{path} has {len(problems)} problems:{told}{more}", hint="correct them and try again"
        )
    if not rows:
        raise DataWrong(f"{path} has no rows", hint=f"one a clip, with {', '.join(COLUMNS)}")
    return rows


def read_table(name: str, folder: Path) -> tuple[list[Row], list[str]]:
    """The rows that are right, and what is wrong with others. Raises `DataWrong` for what is no such table."""
    facts = read_header(name, folder).facts
    rows: dict[str, Row] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    for number, cells in _cells(folder / TABLE):
        wrong = [
            f"line {number}, column `{column}`: {what}"
            for column, what in _cell_problems(facts, folder, cells)
        ]
        clip = cells["id"].strip()
        if clip in lines:
            wrong.append(f"line {number}, column `id`: `{clip}` is that of line {lines[clip]}, too")
        lines.setdefault(clip, number)
        problems += wrong
        if not wrong:
            split = next(s for s in get_args(Split) if s == cells["split"].strip())
            file = PurePosixPath(cells["file"].strip())
            source = (str(file.parent), file.name)
            rows[clip] = Row(clip, split, cells["text"].strip(), float(cells["label"]), source)
    return list(rows.values()), problems


def clip_path(name: str, folder: Path, row: Row) -> Path:
    """The file of a clip; that it is there was looked at by `read`."""
    del name
    assert row.source is not None
    return folder.joinpath(*row.source)


def _cells(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Line number and cells by column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
            if missing:
                raise DataWrong(
                    f"{path} has no column {', '.join(missing)}", hint=f"it needs {', '.join(COLUMNS)}"
                )
            for cells in table:
                if None in cells or None in cells.values():
                    raise DataWrong(
                        f"{path}: line {table.line_num} has not as many cells as columns",
                        hint="put quotes around a cell with a comma in it",
                    )
                yield table.line_num, cells
    except OSError as error:
        raise DataWrong(
            f"cannot read {path}: {error.strerror}", hint=f"the table is called {TABLE}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataWrong(f"{path} is not a table in UTF-8: {error}", hint="save it as CSV in UTF-8") from error


def _cell_problems(facts: Dataset, folder: Path, cells: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Column and problem."""
    clip, file, split = (cells[name].strip() for name in ("id", "file", "split"))
    if not ID.fullmatch(clip):
        yield "id", f"`{clip}` is not made of letters, digits, `_`, `-` and `.`"
    place = PurePosixPath(file)
    if not file or place.is_absolute() or ".." in place.parts:
        yield "file", f"`{file}` is no path below the folder"
    elif not (folder / place).is_file():
        yield "file", f"there is no file `{file}`"
    if split not in get_args(Split):
        yield "split", f"`{split}` is no split; train, valid or test"
    try:
        label = float(cells["label"])
    except ValueError:
        yield "label", f"`{cells['label']}` is no number"
        return
    if not facts.low <= label <= facts.high:  # also NaN
        yield "label", f"{label:g} is outside [{facts.low:g}, {facts.high:g}]"
    polarity = (cells.get("polarity") or "").strip().lower()
    if polarity and polarity not in POLARITIES:
        yield "polarity", f"`{polarity}` is none of {', '.join(POLARITIES)}"
    elif polarity and polarity not in (
        polarity_of(label, "mosi"),
        polarity_of(label, facts.family, facts.high),
    ):
        yield "polarity", f"`{polarity}`, and the label is {label:g}"
