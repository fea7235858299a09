"""Collect all answers to each clip, side by side: the paper's Figure 4, for every test clip and not for a chosen one.

A clip was fixed by RL if the answer before was not right and the one after is; broken, the other way round. A test clip
was hard if no model before RL was right; a training clip, if a visit found it so (`hints.jsonl`). Right is the polarity
of the tag or, where a format has none, of the score.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.metrics.answers import finite
from c2f_spec.report.thumbnails import Thumbnail, thumbnail
from c2f_spec.spec.evaluate import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Output, Outputs
    from c2f_spec.report.scores import Group

MOST = 120_000
"""Most answers of one data set on a page; further models are left out, and the page names them."""
LONGEST = 8000
"""Most characters of an answer."""
THUMBNAILS = 48
"""Most clips of one data set with picture and sound."""
WORDS = {"base": "zero-shot", "sft": "SFT", "grpo": "GRPO"}
TAG = re.compile(r"<(polarity|discrimination)>\s*(\w+)\s*</\1>", re.IGNORECASE)
SCORE = re.compile(r"<(score|calibration)>\s*([-+]?\d*\.?\d+)\s*</\1>")

NEUTRAL = {"mosi": 0.0, "sims": 0.1}
"""Largest neutral score of a family; its negative is not neutral any more (METHOD 4.1, 4.2)."""

Right = Literal["0", "1", "-"]
"""Wrong, right, or no answer."""


@dataclass(frozen=True, slots=True)
class CaseColumn:
    """One model's answers, in the order of the clips."""

    title: str
    checkpoint: str
    scores: tuple[float | None, ...]
    right: str
    """A `Right` for each clip."""
    outputs: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CaseSet:
    """The clips of one data set, with what each model answered."""

    title: str
    training: bool
    """Clips that were trained on, not tested."""
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[float | None, ...]
    polarities: tuple[str, ...]
    hard: str
    """`1` or `0` for each clip: whether it was hard."""
    columns: tuple[CaseColumn, ...]
    trio: tuple[int, ...]
    """Indices of the columns that the page opens with: zero-shot, before RL, after RL, as far as they exist."""
    left_out: tuple[str, ...]
    """Titles of the models that did not fit."""
    thumbnails: Mapping[int, Thumbnail] = field(repr=False)
    """Index of the clip → its picture and sound."""


def case_sets(groups: Sequence[Group], outputs: Outputs) -> tuple[CaseSet, ...]:
    """Return a set for each evaluated data set with answers, then the training clips that RL answered."""
    names = dict.fromkeys(
        name for g in groups if (e := g.experiment.evaluate) is not None for name in e.datasets
    )
    train = groups[0].experiment.data.train
    order = sorted(names, key=lambda name: name != train)
    tests = (_test_set(name, groups, outputs) for name in order)
    return tuple(s for s in (*tests, _training_set(groups, outputs)) if s is not None)


def _test_set(dataset: str, groups: Sequence[Group], outputs: Outputs) -> CaseSet | None:
    stages: dict[str, tuple[str, str, Output, Variant]] = {}
    several = len(groups) > 1
    for group in groups:
        variant = group.variants[0]
        for checkpoint in CHECKPOINTS:
            one = outputs.find(variant, "evaluate", checkpoint=checkpoint, dataset=dataset)
            if one is not None and not one.state:
                title = f"{WORDS[checkpoint]} ({group.name})" if several else WORDS[checkpoint]
                stages.setdefault(one.stage.key, (title, checkpoint, one, variant))
    if not stages:
        return None
    columns: list[CaseColumn] = []
    left_out: list[str] = []
    ids: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = []
    for title, made_by, one, _ in stages.values():
        if ids and len(ids) * (len(columns) + 1) > MOST:
            left_out.append(title)
            continue
        read = {str(row.get("id")): row for row in one.rows("predictions.jsonl")}
        if not ids:
            ids, rows = tuple(read), list(read.values())
        columns.append(
            _column(
                title, made_by, [read.get(i, {}) for i in ids], variant.experiment.data.known[dataset].family
            )
        )
    variant = next(iter(stages.values()))[3]
    clips = {str(clip.get("id")): clip for clip in outputs.clips(variant, dataset)}
    trio = _trio(columns)
    before = [c for c in columns if c.checkpoint != "grpo"]
    hard = "".join("1" if before and all(c.right[i] != "1" for c in before) else "0" for i in range(len(ids)))
    return CaseSet(
        title=f"Test clips of {dataset}",
        training=False,
        ids=ids,
        texts=tuple(str(clips.get(i, {}).get("text", "")) for i in ids),
        labels=tuple(finite(row.get("label")) for row in rows),
        polarities=tuple(str(row.get("true", "")) for row in rows),
        hard=hard,
        columns=tuple(columns),
        trio=trio,
        left_out=tuple(left_out),
        thumbnails=_thumbnails(
            _kinds(columns, trio, hard), ids, clips, outputs.find(variant, "prepare", dataset=dataset)
        ),
    )


def _column(title: str, checkpoint: str, rows: Sequence[Mapping[str, Any]], family: str) -> CaseColumn:
    return CaseColumn(
        title,
        checkpoint,
        tuple(finite(row.get("score")) for row in rows),
        "".join(_right(row, NEUTRAL[family]) for row in rows),
        tuple(str(row.get("output") or "")[:LONGEST] for row in rows),
    )


def _right(row: Mapping[str, Any], neutral: float) -> Right:
    answered, true = row.get("polarity"), row.get("true")
    if answered is None:
        score = finite(row.get("score"))
        if score is None:
            return "-"
        answered = (
            "negative" if score < 0 and score <= -neutral else "positive" if score > neutral else "neutral"
        )
    return "1" if answered == true else "0"


def _trio(columns: Sequence[CaseColumn]) -> tuple[int, ...]:
    """Return the columns of zero-shot, of RL's start model and of its result, as far as they exist."""
    after = next((i for i, c in enumerate(columns) if c.checkpoint == "grpo"), None)
    sft = [i for i, c in enumerate(columns) if c.checkpoint == "sft"]
    before = next((i for i in reversed(sft) if after is None or i < after), sft[0] if sft else None)
    base = next((i for i, c in enumerate(columns) if c.checkpoint == "base"), None)
    return tuple(i for i in (base, before, after) if i is not None)


def _kinds(columns: Sequence[CaseColumn], trio: Sequence[int], hard: str) -> list[list[int]]:
    """Return the indices of clips that were fixed, broken or hard, and of all."""
    places = range(len(hard))
    kinds = [[], [], [i for i in places if hard[i] == "1"], list(places)]
    if len(trio) > 1:
        before, after = columns[trio[-2]].right, columns[trio[-1]].right
        kinds[0] = [i for i in places if before[i] != "1" and after[i] == "1"]
        kinds[1] = [i for i in places if before[i] == "1" and after[i] != "1"]
    return kinds


def _thumbnails(
    kinds: Iterable[list[int]],
    ids: Sequence[str],
    clips: Mapping[str, Mapping[str, Any]],
    prepared: Output | None,
) -> dict[int, Thumbnail]:
    """Return pictures and sound of the first clips of each kind in turn: chosen by rule, not by beauty."""
    turns = dict.fromkeys(i for i in chain.from_iterable(zip_longest(*kinds)) if i is not None)
    thumbnails = {}
    for i in list(turns)[:THUMBNAILS]:
        media = prepared.file(str(clips.get(ids[i], {}).get("media"))) if prepared else None
        if media is not None:
            thumbnails[i] = thumbnail(media)
    return dict(sorted(thumbnails.items()))


def _training_set(groups: Sequence[Group], outputs: Outputs) -> CaseSet | None:
    """Return the clips of the first `rollouts.jsonl`, with the teacher's chain and the student's answers."""
    for group in groups:
        variant = group.variants[0]
        one = outputs.find(variant, "grpo")
        rollouts = one.rows("rollouts.jsonl") if one is not None else []
        if one is not None and rollouts:
            return _rollout_set(variant, rollouts, one, outputs)
    return None


def _rollout_set(
    variant: Variant, rollouts: Sequence[Mapping[str, Any]], one: Output, outputs: Outputs
) -> CaseSet:
    dataset = variant.experiment.data.train
    clips = {str(clip.get("id")): clip for clip in outputs.clips(variant, dataset)}
    ids = tuple(dict.fromkeys(str(row.get("clip")) for row in rollouts))
    visits = {str(row.get("clip")): row for row in one.rows("hints.jsonl")}
    chains = outputs.find(variant, "distil")
    taught = {
        str(r.get("id")): str(r.get("text") or "") for r in (chains.rows("chains.jsonl") if chains else [])
    }
    hinted = {str(r.get("clip")) for r in rollouts if r.get("hinted")}
    first, last = (_first_answers(rollouts, hinted=want) for want in (False, True))
    true = [str(clips.get(i, {}).get("polarity", "")) for i in ids]
    columns = [
        _unparsed_column("teacher", [taught.get(i, "") for i in ids], true),
        _unparsed_column("first answer", [first.get(i, "") for i in ids], true),
        _unparsed_column("with the hint", [last.get(i, "") for i in ids], true),
    ]
    columns = [c for c in columns if any(c.outputs)]
    hard = "".join("1" if visits.get(i, {}).get("hard") or i in hinted else "0" for i in ids)
    kinds = [[i for i, h in enumerate(hard) if h == "1"], list(range(len(ids)))]
    return CaseSet(
        title=f"Training clips of {dataset} that RL answered",
        training=True,
        ids=ids,
        texts=tuple(str(clips.get(i, {}).get("text", "")) for i in ids),
        labels=tuple(finite(clips.get(i, {}).get("label")) for i in ids),
        polarities=tuple(true),
        hard=hard,
        columns=tuple(columns),
        trio=tuple(range(len(columns))),
        left_out=(),
        thumbnails=_thumbnails(kinds, ids, clips, outputs.find(variant, "prepare", dataset=dataset)),
    )


def _first_answers(rollouts: Iterable[Mapping[str, Any]], *, hinted: bool) -> dict[str, str]:
    """Return clip → its first answer with, or without, a hint."""
    answers: dict[str, str] = {}
    for row in rollouts:
        if bool(row.get("hinted")) is hinted:
            answers.setdefault(str(row.get("clip")), str(row.get("completion") or ""))
    return answers


def _unparsed_column(title: str, texts: Sequence[str], true: Sequence[str]) -> CaseColumn:
    """Return a column of answers that were stored unparsed: tag and score are read from the text."""
    scores, right = [], []
    for text, polarity in zip(texts, true, strict=True):
        tag, score = TAG.search(text), SCORE.search(text)
        scores.append(float(score[2]) if score else None)
        right.append("-" if tag is None else "1" if tag[2].lower() == polarity else "0")
    return CaseColumn(title, "", tuple(scores), "".join(right), tuple(text[:LONGEST] for text in texts))
