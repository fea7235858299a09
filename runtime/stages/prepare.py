"""prepare: the files of a data set -> clips with media and a manifest.

Reads   data/       the staged files of the data set
Writes  manifest.jsonl, clips/<id>.mp4, dataset.json

Where a data set has no recordings, voice and face are drawn from the rating (runtime/media/render.py).
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import DataWrong, StageSpecWrong
from c2f_spec.spec.datasets import DATASETS as KNOWN
from c2f_spec.spec.sections import Limit
from c2f_spec.store.digest import digest_file
from runtime.clips import Clip, polarity_of, write_manifest
from runtime.context import say
from runtime.datasets import DATASETS
from runtime.datasets.rows import limited
from runtime.media.render import SECONDS, render
from runtime.parallel import over_cores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.datasets import Dataset
    from runtime.context import Context
    from runtime.datasets.rows import Row

NOTE = "text and ratings are human; voice and face are rendered"


def run(ctx: Context) -> dict[str, Any]:
    """Counts by split."""
    spec = ctx.stage.preimage["spec"]
    facts = KNOWN[spec["dataset"]]
    if facts.reader not in DATASETS:
        raise StageSpecWrong(
            f"this version has no reader for the data set `{facts.name}`",
            hint=f"it reads {', '.join(sorted(n for n, d in KNOWN.items() if d.reader in DATASETS))}",
        )
    limit: Limit = ctx.section("limit", Limit)
    rows = limited(DATASETS[facts.reader].read(facts.name, ctx.inputs["data"]), limit.model_dump())
    splits = dict(Counter(row.split for row in rows))
    say(f"{facts.name}: " + ", ".join(f"{count} {split}" for split, count in splits.items()))

    seed = int(spec.get("render_seed") or 0)
    folder = ctx.out / "clips"
    folder.mkdir()
    clips = []
    for row, blake3 in zip(rows, over_cores(partial(_render, folder, seed), rows), strict=True):
        polarity = polarity_of(row.label, facts.family)
        media = f"clips/{row.id}.mp4"
        clips.append(
            Clip(row.id, facts.name, row.split, row.text, row.label, polarity, media, SECONDS, blake3)
        )
        ctx.progress(len(clips), len(rows), "clips")
    if not clips:
        raise DataWrong(f"the data set `{facts.name}` has no clips", hint="see the files it was staged from")

    write_manifest(ctx.out, clips)
    (ctx.out / "dataset.json").write_text(json.dumps(_facts(facts, splits), indent=1))
    return {"clips": len(clips), "splits": splits, "polarity": dict(Counter(c.polarity for c in clips))}


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


def _render(folder: Path, seed: int, row: Row) -> str:
    path = folder / f"{row.id}.mp4"
    render(path, row.label, seed=seed, clip=row.id)
    return digest_file(path).blake3
