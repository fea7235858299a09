"""The stage `prepare`: turn the files of a data set into clips with media and a manifest.

Reads   data/       the staged files of the data set
Writes  manifest.jsonl, clips/…, dataset.json

Recordings are copied as they are. Where a data set has none, voice and face are rendered from the rating
(runtime/media/speaker.py).
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import Own
from c2f_spec.spec.sections import Limit
from c2f_spec.store.digest import digest_file
from runtime.console import log_line
from runtime.datasets import DATASETS, RECORDED, check_declared, find_dataset
from runtime.datasets.labelled_rows import limit_rows
from runtime.media.decode import probe
from runtime.media.speaker import SECONDS, render
from runtime.process.parallel import map_processes
from runtime.text.clips import Clip, polarity_of, write_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset
    from runtime.datasets.labelled_rows import LabelledRow
    from runtime.process.context import Context

Media = tuple[str, float, str, tuple[str, ...]]
"""Name below the output, seconds, BLAKE3, and which of "video" and "audio" the file lacks."""
NOTE = "text and ratings are human; voice and face are rendered"


def run(ctx: Context) -> dict[str, Any]:
    """Return counts by split, by polarity, and of clips without sound or video."""
    spec = ctx.stage.preimage["spec"]
    facts = find_dataset(spec["dataset"], ctx.inputs["data"])
    limit: Limit = ctx.section("limit", Limit)
    rows = DATASETS[facts.reader].read(facts.name, ctx.inputs["data"])
    if "own" in spec:
        check_declared(Own.model_validate(spec["own"]), ctx.inputs["data"], rows)
    rows = limit_rows(rows, limit.model_dump())
    splits = dict(Counter(row.split for row in rows))
    log_line(f"{facts.name}: " + ", ".join(f"{count} {split}" for split, count in splits.items()))

    make = partial(_render, ctx.out, int(spec.get("render_seed") or 0))
    if facts.reader in RECORDED:
        make = partial(_copy, facts.reader, facts.name, ctx.inputs["data"], ctx.out)
    clips = []
    for row, media in zip(rows, map_processes(make, rows), strict=True):
        polarity = polarity_of(row.label, facts.family, facts.high)
        clips.append(Clip(row.id, facts.name, row.split, row.text, row.label, polarity, *media))
        ctx.progress(len(clips), len(rows), "clips")
    if not clips:
        raise InvalidData(
            f"the data set `{facts.name}` has no clips", hint="check the files it was staged from"
        )

    write_manifest(ctx.out, clips)
    (ctx.out / "dataset.json").write_text(json.dumps(_facts(facts, splits), indent=1))
    lacking = Counter(kind for clip in clips for kind in clip.lacks)
    counts = {"clips": len(clips), "splits": splits, "polarity": dict(Counter(c.polarity for c in clips))}
    return counts | ({"without": dict(lacking)} if lacking else {})


def _facts(facts: Dataset, splits: Mapping[Any, int]) -> dict[str, Any]:
    return {
        "name": facts.name,
        "language": facts.language,
        "low": facts.low,
        "high": facts.high,
        "family": facts.family,
        "rendered": facts.rendered,
        "splits": splits,
        **({"note": NOTE} if facts.rendered else {}),
    }


def _render(out: Path, seed: int, row: LabelledRow) -> Media:
    media = f"clips/{row.id}.mp4"
    (out / "clips").mkdir(exist_ok=True)
    render(out / media, row.label, seed=seed, clip=row.id)
    return media, SECONDS, digest_file(out / media).blake3, ()


def _copy(reader: str, name: str, data: Path, out: Path, row: LabelledRow) -> Media:
    """Copy a recording. Raises `InvalidData` for one that cannot be decoded."""
    assert row.source is not None
    source = RECORDED[reader].clip_path(name, data, row)
    probed = probe(source)
    if probed.problem:
        raise InvalidData(
            f"the clip `{row.id}` cannot be decoded: {probed.problem} ({source})",
            hint=f"`c2f-spec data check {name} --from DIR` lists every such clip",
        )
    media = str(PurePosixPath("clips", row.source[0], source.name))
    (out / media).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, out / media)
    return media, probed.duration_s, digest_file(out / media).blake3, probed.lacks
