"""Check a copy of a data set: `python -m runtime data check NAME --from DIR [--against OTHER=DIR]`.

Prints one JSON object: {"name", "rows", "splits", "problems": [{"what", "count", "examples"}], "notes": ["…"], "overlap": [...]}.
Invalid rows of the table are problems, and the valid ones are still checked. Splits are compared with the published counts;
every clip is probed; clips that two data sets or two splits share are listed, because an evaluation across them leaks
(METHOD 5: CH-SIMS v2 contains CH-SIMS).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import DATASETS as KNOWN
from c2f_spec.store.digest import digest_file
from runtime.datasets import DATASETS, RECORDED, find_dataset
from runtime.media.decode import probe
from runtime.process.parallel import map_processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset
    from runtime.datasets.labelled_rows import LabelledRow

EXAMPLES = 5
"""Examples of each problem."""
LACKING = {"audio": "sound", "video": "picture"}


class ClipFile(NamedTuple):
    """The result of probing a clip's file."""

    problem: str
    blake3: str = ""
    seconds: float = 0.0
    lacks: tuple[str, ...] = ()


def check(name: str, folder: Path, others: Mapping[str, Path]) -> dict[str, Any]:
    """Return what the command prints. Raises `InvalidData` if the table cannot be read, or has no valid row."""
    facts = find_dataset(name, folder)
    rows, invalid = _read_rows(facts, folder)
    files = _probe_files(facts, folder, rows)
    problems = [*_split_problems(facts, rows), *_media_problems(rows, files), *_duplicates(rows, files)]
    if invalid:
        problems.insert(0, _problem("invalid rows", invalid))
    overlap = [_overlap(rows, files, other, place) for other, place in others.items()]
    labels = [row.label for row in rows]
    return {
        "name": name,
        "rows": len(rows),
        "splits": dict(Counter(row.split for row in rows)),
        "published": facts.counts if name in KNOWN else {},
        "labels": [min(labels), max(labels)],
        "seconds": round(sum(file.seconds for file in files.values()), 1),
        "problems": problems,
        "notes": [*_media_notes(files), *_leak_notes(facts)],
        "overlap": overlap,
    }


def _read_rows(facts: Dataset, folder: Path) -> tuple[list[LabelledRow], list[str]]:
    """Return the valid rows and the problems of the others."""
    if facts.reader not in RECORDED:
        return DATASETS[facts.reader].read(facts.name, folder), []
    rows, problems = RECORDED[facts.reader].read_table(facts.name, folder)
    return rows or DATASETS[facts.reader].read(facts.name, folder), problems


def _probe_files(facts: Dataset, folder: Path, rows: Sequence[LabelledRow]) -> dict[str, ClipFile]:
    """Return what probing found, by clip id; empty for a data set whose clips are rendered."""
    reader = RECORDED.get(facts.reader)
    if reader is None:
        return {}
    missing: dict[str, ClipFile] = {}
    paths: dict[str, Path] = {}
    for row in rows:
        try:
            paths[row.id] = reader.clip_path(facts.name, folder, row)
        except InvalidData as error:
            missing[row.id] = ClipFile(error.message)
    return missing | dict(zip(paths, map_processes(_probe_file, list(paths.values())), strict=True))


def _probe_file(path: Path) -> ClipFile:
    result = probe(path)
    return ClipFile(result.problem, digest_file(path).blake3, result.duration_s, result.lacks)


def _split_problems(facts: Dataset, rows: Sequence[LabelledRow]) -> Iterable[dict[str, Any]]:
    if facts.name not in KNOWN:
        return
    counted = Counter(row.split for row in rows)
    off = [f"{s}: {counted[s]:,} clips, published {n:,}" for s, n in facts.counts.items() if counted[s] != n]
    if off:
        yield _problem("splits that differ from the published size", off)


def _media_problems(rows: Sequence[LabelledRow], files: Mapping[str, ClipFile]) -> Iterable[dict[str, Any]]:
    unusable = [
        f"{row.id}: {files[row.id].problem}" for row in rows if row.id in files and files[row.id].problem
    ]
    if unusable:
        yield _problem("unusable clips", unusable)


def _media_notes(files: Mapping[str, ClipFile]) -> Iterable[str]:
    """Yield notes on clips that lack a modality, which is no problem."""
    lacking = Counter(kind for file in files.values() if not file.problem for kind in file.lacks)
    yield from (
        f"clips without {LACKING[kind]}: {count:,} (their prompts say so)"
        for kind, count in sorted(lacking.items())
    )


def _leak_notes(facts: Dataset) -> Iterable[str]:
    """Yield notes on data sets that contain this one, or that it contains, as published."""
    across = dict.fromkeys(facts.contains, "contains")
    across |= {other.name: "is part of" for other in KNOWN.values() if facts.name in other.contains}
    for name, how in across.items():
        yield (
            f"it {how} {name}: training on one and testing on the other leaks, and reports say so; "
            f"`--against {name}=DIR` names the clips"
        )


def _duplicates(rows: Sequence[LabelledRow], files: Mapping[str, ClipFile]) -> Iterable[dict[str, Any]]:
    """Yield problems of recordings under several ids; in several splits they leak."""
    by: defaultdict[str, list[LabelledRow]] = defaultdict(list)
    for row in rows:
        if row.id in files and files[row.id].blake3:
            by[files[row.id].blake3].append(row)
    twins = [same for same in by.values() if len(same) > 1]
    across = [same for same in twins if len({row.split for row in same}) > 1]
    if twins:
        yield _problem("duplicate recordings", [" = ".join(row.id for row in same) for same in twins])
    if across:
        yield _problem(
            "recordings in more than one split, which leaks",
            [" = ".join(f"{r.id} ({r.split})" for r in same) for same in across],
        )


def _overlap(
    rows: Sequence[LabelledRow], files: Mapping[str, ClipFile], other: str, folder: Path
) -> dict[str, Any]:
    """Return the clips that `other` also has: their number by id, by words and by recording, and their ids."""
    facts = find_dataset(other, folder)
    theirs, _ = _read_rows(facts, folder)
    their_files = {file.blake3 for file in _probe_files(facts, folder, theirs).values() if file.blake3}
    ids, texts = {row.id for row in theirs}, {row.text for row in theirs}
    shared = {
        "id": [row.id for row in rows if row.id in ids],
        "text": [row.id for row in rows if row.text in texts],
        "recording": [row.id for row in rows if row.id in files and files[row.id].blake3 in their_files],
    }
    clips = set().union(*shared.values())
    by_split = Counter(row.split for row in rows if row.id in clips)
    return {
        "with": other,
        "clips": len(clips),
        "ids": [row.id for row in rows if row.id in clips],
        "by_split": dict(by_split),
        **{k: len(v) for k, v in shared.items()},
    }


def _problem(what: str, examples: Sequence[str]) -> dict[str, Any]:
    return {"what": what, "count": len(examples), "examples": list(examples[:EXAMPLES])}
