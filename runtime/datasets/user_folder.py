"""User data sets: a folder with a header, a table and the clips that it names. `folder` -> rows.

    dataset.yaml     language: en
                     low: -3
                     high: 3
                     family: mosi        # or sims: whose metrics and classes apply; decimals: 1
    clips.csv        id, file, text, label, split, [polarity]
    …                the files, below the folder

`id` is what reports call a clip: letters, digits, `_`, `-`, `.`. `file` is a path below the folder. `split` is train, valid or
test. `polarity`, where there is one, must be that of the label by the rule of the family. Other columns are ignored.
Every problem is reported with its line and its column.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from c2f_spec.errors import InvalidData, UsageError
from c2f_spec.spec.datasets import DATASETS, Own, Split, Splits, off_centre
from c2f_spec.spec.formats import POLARITIES
from runtime.datasets.labelled_rows import ID, ID_RULE, LabelledRow, checked, read_cells
from runtime.text.clips import polarity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset

HEADER, TABLE = "dataset.yaml", "clips.csv"
FILES: dict[str, str] = {}
"""Empty: user data sets have names that no version knows."""
COLUMNS = ("id", "file", "text", "label", "split")
LICENCE = "its owner's"
SOURCE = "the folder that it was staged from"
EXAMPLE = "write `language: en`, `low: -3`, `high: 3` and, if its classes are those of SIMS, `family: sims`"


def find_dataset(name: str, folder: Path) -> Dataset:
    """Return the facts of a known data set, or those in the header of `folder`. Raises `UsageError` without either."""
    if name in DATASETS:
        return DATASETS[name]
    if (folder / HEADER).is_file():
        return read_header(name, folder).facts
    raise UsageError(
        f"unknown data set `{name}`, and {HEADER} not found in {folder}",
        hint=f"use one of {', '.join(DATASETS)}; or for a user data set add {HEADER}: {EXAMPLE}",
    )


def read_header(name: str, folder: Path) -> Own:
    """Return what `dataset.yaml` states. Raises `InvalidData` naming the field."""
    path = folder / HEADER
    try:
        own = Own.model_validate({**dict(_header_fields(path)), "name": name})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidData(f"{path}: `{field}`: {first['msg']}", hint=EXAMPLE) from None
    if own.low >= own.high:
        raise InvalidData(
            f"{path}: `low` ({own.low:g}) must be less than `high` ({own.high:g})", hint=EXAMPLE
        )
    if own.low != -own.high:
        message, hint = off_centre(own.low, own.high)
        raise InvalidData(f"{path}: {message}", hint=hint)
    return own


def _header_fields(path: Path) -> Iterator[tuple[str, str]]:
    """Yield keys and values of a YAML map of one level, which is all that a header may be."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidData(f"cannot read {path}: {error}", hint=EXAMPLE) from error
    for number, line in enumerate(lines, start=1):
        content = line.partition("#")[0].rstrip()
        key, colon, value = content.partition(":")
        if not content or content == "---":
            continue
        if not colon or not key.isidentifier() or not value.strip():
            raise InvalidData(f"{path}:{number}: `{content}` is not `key: value`", hint=EXAMPLE)
        yield key, _unquote(value.strip())


def _unquote(value: str) -> str:
    quoted = len(value) > 1 and value[0] in "'\"" and value[0] == value[-1]
    return value[1:-1] if quoted else value


def declare(own: Own, rows: Sequence[LabelledRow]) -> Own:
    """Return `own` with the clips of each split counted, as a spec declares it under `data.own`."""
    counted = Counter(row.split for row in rows)
    return Own.model_validate({**own.model_dump(), "clips": dict(counted)})


def check_declared(declared: Own, folder: Path, rows: Sequence[LabelledRow]) -> None:
    """Raise `InvalidData` naming each difference between what the spec declares and what the files are."""
    actual = declare(read_header(declared.name, folder), rows)
    differences = [
        f"`{field}` is {_format_value(getattr(actual, field))} in the files "
        f"and {_format_value(getattr(declared, field))} in the spec"
        for field in Own.model_fields
        if field != "seconds" and getattr(actual, field) != getattr(declared, field)
    ]
    if differences:
        raise InvalidData(
            f"the staged copy of `{declared.name}` differs from `data.own`: {'; '.join(differences)}",
            hint="correct the spec, or stage the right copy with `c2f-spec data add`",
        )


def _format_value(value: Any) -> str:
    if isinstance(value, Splits):
        return ", ".join(f"{count} {split}" for split, count in value if count) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def read(name: str, folder: Path) -> list[LabelledRow]:
    """Return every row. Raises `InvalidData` with the line and column of each problem, the first ten."""
    rows, problems = read_table(name, folder)
    hint = (
        f"correct them in {TABLE} and try again"
        if problems
        else f"add a row a clip, with {', '.join(COLUMNS)}"
    )
    return checked(folder / TABLE, rows, problems, hint)


def read_table(name: str, folder: Path) -> tuple[list[LabelledRow], list[str]]:
    """Return the valid rows and the problems of the others. Raises `InvalidData` if the table cannot be read."""
    facts = read_header(name, folder).facts
    rows: dict[str, LabelledRow] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    for number, cells in read_cells(folder / TABLE, COLUMNS, f"the table must be named {TABLE}"):
        at = f"{TABLE}:{number}:"
        if cells is None:
            problems.append(f"{at} wrong number of cells; put quotes around a cell with a comma in it")
            continue
        clip = cells["id"].strip()
        row_problems = [
            f"{at} column `{column}`: {problem}" for column, problem in _cell_problems(facts, folder, cells)
        ]
        if clip in lines:
            row_problems.append(f"{at} column `id`: duplicate id `{clip}`, first on line {lines[clip]}")
        lines.setdefault(clip, number)
        problems += row_problems
        if not row_problems:
            split = next(s for s in get_args(Split) if s == cells["split"].strip())
            file = PurePosixPath(cells["file"].strip())
            source = (str(file.parent), file.name)
            rows[clip] = LabelledRow(clip, split, cells["text"].strip(), float(cells["label"]), source)
    return list(rows.values()), problems


def clip_path(name: str, folder: Path, row: LabelledRow) -> Path:
    """Return the file of a clip, whose existence `read` has checked."""
    del name
    assert row.source is not None
    return folder.joinpath(*row.source)


def _cell_problems(facts: Dataset, folder: Path, cells: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield column and problem of each invalid cell of a row."""
    clip, file, split = (cells[name].strip() for name in ("id", "file", "split"))
    if not ID.fullmatch(clip):
        yield "id", f"invalid id `{clip}`: {ID_RULE}"
    path = PurePosixPath(file)
    if not file or path.is_absolute() or ".." in path.parts:
        yield "file", f"invalid path `{file}`: it must be relative and stay below the folder"
    elif not (folder / path).is_file():
        yield "file", f"file not found: `{file}`"
    if split not in get_args(Split):
        yield "split", f"invalid split `{split}`: use train, valid or test"
    try:
        label = float(cells["label"])
    except ValueError:
        yield "label", f"`{cells['label']}` is not a number"
        return
    if not facts.low <= label <= facts.high:  # also NaN
        yield "label", f"label {label:g} is out of range [{facts.low:g}, {facts.high:g}]"
    polarity = (cells.get("polarity") or "").strip().lower()
    if polarity and polarity not in POLARITIES:
        yield "polarity", f"invalid polarity `{polarity}`: use {', '.join(POLARITIES)}"
    elif polarity and polarity not in (
        polarity_of(label, "mosi"),
        polarity_of(label, facts.family, facts.high),
    ):
        yield "polarity", f"polarity `{polarity}` does not match label {label:g}"
