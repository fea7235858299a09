"""Read and write clips, chains and predictions as JSON lines, the files between stages.

manifest.jsonl    {"id": "test-17", "dataset": "icwsm2014-nyt", "split": "test", "text": "…", "label": -1.3,
                   "polarity": "negative", "media": "clips/test-17.mp4", "duration_s": 2.0, "blake3": "…"}
                  and "lacks": ["audio"] or ["video"] where a recording has no sound or no picture
chains.jsonl      {"id": "…", "text": "<polarity>Negative</polarity>…"}
predictions.jsonl {"id": "…", "label": -1.3, "true": "negative", "output": "…", "polarity": "negative", "score": -1.0,
                   "well_formed": true}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from c2f_spec.spec.formats import Polarity


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled clip. `label` is in the data set's units; `media` is relative to the manifest."""

    id: str
    dataset: str
    split: str
    text: str
    label: float
    polarity: Polarity
    media: str
    duration_s: float
    blake3: str
    lacks: tuple[str, ...] = ()
    """Missing media of the file, of "video" and "audio"; the prompt says so (METHOD 2.7)."""


def polarity_of(score: float, family: str, high: float = 1.0) -> Polarity:
    """Return the polarity by the 3-class rule of a family (METHOD 1.4): MOSI the sign; SIMS neutral within (-0.1, 0.1] of a scale to `high`."""
    if family == "sims":
        part = round(score / high, 9)  # 0.3 of 3 is on the edge
        return "negative" if part <= -0.1 else "neutral" if part <= 0.1 else "positive"
    return "negative" if score < 0 else "positive" if score > 0 else "neutral"


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write `rows` to `path`, and return their number."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of `path`. Raises `InvalidData` with file and line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise InvalidData(f"{path}:{number}: not a line of JSON: {error.msg}") from error


def write_manifest(folder: Path, clips: Iterable[Clip]) -> int:
    return write_jsonl(folder / "manifest.jsonl", (_row(c) for c in clips))


def _row(clip: Clip) -> dict[str, Any]:
    row = asdict(clip)
    if not clip.lacks:
        del row["lacks"]
    return row


def read_manifest(folder: Path, split: str | None = None) -> list[Clip]:
    """Return the clips of a prepared data set, of one split or all, in manifest order."""
    path = folder / "manifest.jsonl"
    try:
        clips = [Clip(**{**row, "lacks": tuple(row.get("lacks", ()))}) for row in read_jsonl(path)]
    except TypeError as error:
        raise InvalidData(
            f"{path} is not a manifest of clips: {error}", hint="run `prepare` again"
        ) from error
    return [c for c in clips if split is None or c.split == split]


def read_facts(folder: Path) -> dict[str, Any]:
    """Return `dataset.json` of a prepared data set: name, language, low, high, family, rendered, splits."""
    facts: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return facts


def seed_of(key: str, clip: str, sample: int, tried: int = 0) -> int:
    """Return the seed of one sample, 31 bits: a digest of the stage's key, clip, sample and number of earlier tries.

    So an answer does not depend on the order of the clips, the process, or an interruption (DESIGN: "The store").
    """
    digest = hashlib.sha256(f"{key}\0{clip}\0{sample}\0{tried}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
