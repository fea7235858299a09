"""Collect what an experiment is trained and tested on, clip by clip, for `data show`.

Each clip has its picture, sound, words and label, the teacher's chain, and what each filter decided (`page_data` has the page).
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from c2f_spec.report.thumbnails import Thumbnail, thumbnail
from c2f_spec.spec.filters import NAMES
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.plan.model import Plan, Variant
    from c2f_spec.report.outputs import Output, Outputs

WIDEST = 128
"""Width of a picture in pixels, for 3 to 4 kB each."""
MOST_BYTES = 48 << 20
"""Most bytes of pictures on a page; a browser holds them all as text."""
TOO_MANY = "no picture: the page would be too large"
FEW = 200
"""Number of clips under which more processes are not worth their start."""
CHUNK = 16
ENDS = ("rebalance", "most")
"""Rules that drop a chain after it passed every filter."""


@dataclass(frozen=True, slots=True)
class ChainOutcome:
    """The outcome of generating and filtering a clip's chain."""

    state: str
    """kept, dropped, failed (the teacher gave no answer), none (no chain was requested) or waiting (not filtered yet)."""
    filter: str = ""
    """Name of the filter that dropped it."""
    reason: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Filter → reason, for filters that flag instead of dropping."""


@dataclass(frozen=True, slots=True)
class GallerySet:
    """The clips of one data set, in manifest order."""

    name: str
    rendered: bool
    clips: tuple[Mapping[str, Any], ...]
    """Rows of the manifest."""
    chains: tuple[str, ...]
    outcomes: tuple[ChainOutcome, ...]
    thumbnails: tuple[Thumbnail, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gallery:
    name: str
    filters: tuple[str, ...]
    """Enabled filters, in the order in which they run."""
    sets: tuple[GallerySet, ...]
    missing: tuple[str, ...]
    """Data sets that are not prepared, each with the reason."""


def gallery(plan: Plan, outputs: Outputs) -> Gallery:
    """Return the training data of the first variant with chains and their outcomes, then its evaluation data."""
    variant = plan.variants[0]
    e = variant.experiment
    evaluated = e.evaluate.datasets if e.evaluate else ()
    sets, missing = [], []
    for name in dict.fromkeys((e.data.train, *evaluated)):
        prepared = outputs.find(variant, "prepare", dataset=name)
        if prepared is None or prepared.state:
            missing.append(f"{name}: {prepared.state if prepared else 'not in the plan'}")
        else:
            sets.append(_gallery_set(name, prepared, variant, outputs, chains=name == e.data.train))
    on = tuple(n for n in ("format", *NAMES) if e.filters is not None and getattr(e.filters, n) is not None)
    return Gallery(variant.name, on, tuple(sets), tuple(missing))


def _gallery_set(
    name: str, prepared: Output, variant: Variant, outputs: Outputs, *, chains: bool
) -> GallerySet:
    clips = prepared.rows("manifest.jsonl")
    ids = [str(clip.get("id")) for clip in clips]
    chain_texts, outcomes = _chain_outcomes(variant, outputs) if chains else ({}, {})
    assert prepared.record is not None
    folder = records.fetch(prepared.store, prepared.record)
    files = [_file(folder, prepared, str(clip.get("media"))) for clip in clips]
    return GallerySet(
        name=name,
        rendered=bool(prepared.json("dataset.json").get("rendered")),
        clips=tuple(clips),
        chains=tuple(chain_texts.get(i, "") for i in ids),
        outcomes=tuple(outcomes.get(i, ChainOutcome("waiting" if i in chain_texts else "none")) for i in ids),
        thumbnails=tuple(_limited(thumbnails(files))),
    )


def _chain_outcomes(variant: Variant, outputs: Outputs) -> tuple[dict[str, str], dict[str, ChainOutcome]]:
    """Return clip → the teacher's chain, and clip → its outcome. Of several chains, the one that was filtered last counts."""
    distil, filtered = outputs.find(variant, "distil"), outputs.find(variant, "filter")
    texts: dict[str, str] = {}
    for row in distil.rows("chains.jsonl") if distil else ():
        texts.setdefault(str(row.get("id")), str(row.get("text") or ""))
    outcomes = {
        str(row.get("id")): ChainOutcome("failed", reason=str(row.get("reason") or "no answer"))
        for row in (distil.rows("failed.jsonl") if distil else ())
    }
    for row in filtered.rows("dropped.jsonl") if filtered else ():
        clip, reason = str(row.get("id")), str(row.get("reason") or "")
        outcomes[clip] = ChainOutcome("dropped", str(row.get("filter") or ""), reason)
        texts[clip] = str(row.get("text") or texts.get(clip, ""))
    for row in filtered.rows("chains.jsonl") if filtered else ():
        outcomes[str(row.get("id"))] = ChainOutcome("kept", flags=dict(row.get("flags") or {}))
    return texts, outcomes


def _file(folder: Path, prepared: Output, media: str) -> Path | None:
    """Return a file that the record names, so that no name taken from data leaves the folder."""
    assert prepared.record is not None
    return folder / media if media in prepared.record.files else None


def thumbnails(files: Sequence[Path | None]) -> Iterable[Thumbnail]:
    """Yield pictures in order, decoded on all cores if there are many. Processes are spawned: decoders have threads."""
    cores = len(os.sched_getaffinity(0))
    look = partial(_thumbnail, widest=WIDEST)
    if cores == 1 or len(files) < FEW:
        yield from map(look, files)
        return
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(look, files, chunksize=CHUNK)


def _thumbnail(file: Path | None, widest: int) -> Thumbnail:
    return (
        Thumbnail(None, b"", "no picture: the file is not in the store")
        if file is None
        else thumbnail(file, widest)
    )


def _limited(thumbnails: Iterable[Thumbnail]) -> Iterable[Thumbnail]:
    """Yield thumbnails, without pictures once they exceed `MOST_BYTES`."""
    used = 0
    for one in thumbnails:
        used += len(one.jpeg or b"")
        yield one if used <= MOST_BYTES else Thumbnail(None, one.wave, TOO_MANY)


def filter_outcomes(chain: ChainOutcome, filters: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return for each enabled filter its name, `passed`, `failed`, `flagged` or `not run`, and the reason."""
    if chain.state not in ("kept", "dropped"):
        return []
    outcomes = []
    over = False
    for name in (*filters, *(n for n in ENDS if n == chain.filter)):
        if name in chain.flags:
            outcomes.append((name, "flagged", chain.flags[name]))
        elif name == chain.filter:
            outcomes.append((name, "failed", chain.reason))
            over = True
        else:
            outcomes.append((name, "not run" if over else "passed", ""))
    return outcomes
