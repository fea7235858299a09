"""`python -m runtime data check NAME --from DIR [--against OTHER=DIR]`: a copy of a data set, compared with what is published.

Prints one JSON object: {"name", "rows", "splits", "problems": [{"what", "count", "examples"}], "overlap": [...]}. Splits
are shown beside the published counts; every clip is probed; clips that two sets or two splits share are named,
because an evaluation across them leaks (METHOD 5: CH-SIMS v2 contains CH-SIMS).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import DataWrong
from c2f_spec.spec.datasets import ALL
from c2f_spec.spec.datasets import DATASETS as KNOWN
from c2f_spec.store.digest import digest_file
from runtime.datasets import DATASETS, RECORDED
from runtime.media.probe import probe
from runtime.parallel import over_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from runtime.datasets.rows import Row

EXAMPLES = 5
"""Of each problem."""
Found = tuple[str, str, float]
"""Problem, BLAKE3 and seconds of a clip's file."""


def check(name: str, folder: Path, others: Mapping[str, Path]) -> dict[str, Any]:
    """Raises `DataWrong` if the table itself cannot be read."""
    rows = DATASETS[KNOWN[name].reader].read(name, folder)
    files = _files(name, folder, rows)
    problems = [*_counts(name, rows), *_media(rows, files), *_twins(rows, files)]
    overlap = [_overlap(rows, files, other, place) for other, place in others.items()]
    labels = [row.label for row in rows]
    return {
        "name": name,
        "rows": len(rows),
        "splits": dict(Counter(row.split for row in rows)),
        "published": dict(zip(ALL, KNOWN[name].counts or (), strict=False)),
        "labels": [min(labels), max(labels)],
        "seconds": round(sum(found[2] for found in files.values()), 1),
        "problems": problems,
        "overlap": overlap,
    }


def _files(name: str, folder: Path, rows: Sequence[Row]) -> dict[str, Found]:
    """By id; empty where clips are drawn."""
    reader = RECORDED.get(KNOWN[name].reader)
    if reader is None:
        return {}
    found: dict[str, Found] = {}
    paths: dict[str, Path] = {}
    for row in rows:
        try:
            paths[row.id] = reader.media(name, folder, row)
        except DataWrong as error:
            found[row.id] = (error.message, "", 0.0)
    return found | dict(zip(paths, over_cores(_look, list(paths.values())), strict=True))


def _look(path: Path) -> Found:
    seen = probe(path)
    return seen.problem, digest_file(path).blake3, seen.duration_s


def _counts(name: str, rows: Sequence[Row]) -> Iterable[dict[str, Any]]:
    published = KNOWN[name].counts
    if published is None:
        return
    counted = Counter(row.split for row in rows)
    off = [
        f"{s}: {counted[s]:,} clips, published {n:,}"
        for s, n in zip(ALL, published, strict=True)
        if counted[s] != n
    ]
    if off:
        yield _problem("splits of another size", off)


def _media(rows: Sequence[Row], files: Mapping[str, Found]) -> Iterable[dict[str, Any]]:
    by: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.id in files and files[row.id][0]:
            by["clips that cannot be used"].append(f"{row.id}: {files[row.id][0]}")
    yield from (_problem(what, examples) for what, examples in by.items())


def _twins(rows: Sequence[Row], files: Mapping[str, Found]) -> Iterable[dict[str, Any]]:
    """The same recording under two ids; in two splits it leaks."""
    by: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.id in files and files[row.id][1]:
            by[files[row.id][1]].append(row)
    twins = [same for same in by.values() if len(same) > 1]
    across = [same for same in twins if len({row.split for row in same}) > 1]
    if twins:
        yield _problem("recordings under several ids", [" = ".join(row.id for row in same) for same in twins])
    if across:
        yield _problem(
            "recordings in several splits",
            [" = ".join(f"{r.id} ({r.split})" for r in same) for same in across],
        )


def _overlap(rows: Sequence[Row], files: Mapping[str, Found], other: str, folder: Path) -> dict[str, Any]:
    """Clips that `other` has too, by id, by words, and by recording."""
    theirs = DATASETS[KNOWN[other].reader].read(other, folder)
    their_files = {found[1] for found in _files(other, folder, theirs).values() if found[1]}
    ids, texts = {row.id for row in theirs}, {row.text for row in theirs}
    shared = {
        "id": [row.id for row in rows if row.id in ids],
        "text": [row.id for row in rows if row.text in texts],
        "recording": [row.id for row in rows if row.id in files and files[row.id][1] in their_files],
    }
    clips = set().union(*shared.values())
    by_split = Counter(row.split for row in rows if row.id in clips)
    return {
        "with": other,
        "clips": len(clips),
        "by_split": dict(by_split),
        **{k: len(v) for k, v in shared.items()},
    }


def _problem(what: str, examples: Sequence[str]) -> dict[str, Any]:
    return {"what": what, "count": len(examples), "examples": list(examples[:EXAMPLES])}
