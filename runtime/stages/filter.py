"""filter: the teacher's chains -> those that are fit to train on, with the label as their score.

Reads   prepare/ distil/
Writes  chains.jsonl   kept: {"id", "text"}
        dropped.jsonl  {"id", "filter", "reason", "text"}
        funnel.json    {"in", "kept", "dropped": {filter: n}, "by_polarity": {polarity: the same}}

A chain is dropped by the first filter that it fails, so in = kept + dropped, by filter and by polarity of the label.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import DataWrong, StageSpecWrong
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import Direct
from runtime.chains import parse, target
from runtime.clips import POLARITIES, read_facts, read_jsonl, read_manifest, write_jsonl
from runtime.context import say
from runtime.filters import FILTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.chains import Answer, AnyFormat
    from runtime.clips import Clip
    from runtime.context import Context

FEW = 10
"""Kept chains of a polarity under which METHOD 3 expects the student to miss it."""


def run(ctx: Context) -> dict[str, Any]:
    """The funnel."""
    spec: Filters = ctx.section("filters", Filters)
    fmt = ctx.format
    if isinstance(fmt, Direct):
        raise StageSpecWrong(
            "a direct answer has no chain to filter", hint="leave `filters` and `teacher` out"
        )
    if spec.replace_score_with_label and spec.polarity_match is None:
        raise StageSpecWrong(
            "`replace_score_with_label` without `polarity_match` would write labels under chains that contradict them",
            hint="add `polarity_match: {}` to `filters`, or set `replace_score_with_label: false`",
        )
    facts = read_facts(ctx.inputs["prepare"])
    clips = {clip.id: clip for clip in read_manifest(ctx.inputs["prepare"], "train")}
    kept: list[dict[str, str]] = []
    dropped: list[dict[str, str]] = []
    for row in read_jsonl(ctx.inputs["distil"] / "chains.jsonl"):
        if row["id"] not in clips:
            raise DataWrong(f"the chain `{row['id']}` is of no training clip", hint="run `distil` again")
        clip, answer = clips[row["id"]], parse(fmt, row["text"])
        failed = first_failed(answer, clip, facts, spec)
        if failed is not None:
            dropped.append({"id": clip.id, "filter": failed[0], "reason": failed[1], "text": row["text"]})
        elif spec.replace_score_with_label:
            kept.append({"id": clip.id, "text": with_label(fmt, answer, clip)})
        else:
            kept.append({"id": clip.id, "text": row["text"]})
        ctx.progress(len(kept) + len(dropped), len(clips), "chains")

    write_jsonl(ctx.out / "chains.jsonl", kept)
    write_jsonl(ctx.out / "dropped.jsonl", dropped)
    total = funnel(kept, dropped)
    by = {p: funnel(_of(p, kept, clips), _of(p, dropped, clips)) for p in POLARITIES}
    assert total["in"] == sum(part["in"] for part in by.values())
    result = {**total, "by_polarity": {p: part for p, part in by.items() if part["in"]}}
    (ctx.out / "funnel.json").write_text(json.dumps(result, indent=1))
    _judge(result, spec)
    return result


def first_failed(
    answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: Filters
) -> tuple[str, str] | None:
    """Name of the first filter that drops the chain, and its reason."""
    for name, check in FILTERS.items():
        settings = None if name == "format" else getattr(spec, name)
        if name == "format" or settings is not None:
            reason = check(answer, clip, facts, settings)
            if reason is not None:
                return name, reason
    return None


def with_label(fmt: AnyFormat, answer: Answer, clip: Clip) -> str:
    """The chain with the label as its score (paper)."""
    text = target(fmt, clip.polarity, answer.think or "", clip.label)
    again = parse(fmt, text)
    assert again.well_formed, text
    assert again.polarity == clip.polarity, text
    assert again.think == answer.think, text
    assert again.score is not None, text
    assert abs(again.score - clip.label) <= 0.5001 * 10**-fmt.label_decimals, text
    return text


def funnel(kept: list[dict[str, str]], dropped: list[dict[str, str]]) -> dict[str, Any]:
    by_filter = Counter(row["filter"] for row in dropped)
    ordered = {name: by_filter[name] for name in FILTERS if by_filter[name]}
    assert sum(ordered.values()) == len(dropped), "a chain was dropped by no known filter"
    return {"in": len(kept) + len(dropped), "kept": len(kept), "dropped": ordered}


def _of(polarity: str, rows: list[dict[str, str]], clips: Mapping[str, Clip]) -> list[dict[str, str]]:
    return [row for row in rows if clips[row["id"]].polarity == polarity]


def _judge(result: dict[str, Any], spec: Filters) -> None:
    """Refuse to train on too little; warn where a polarity nearly vanished."""
    say(f"kept {result['kept']} of {result['in']} chains; dropped: {result['dropped'] or 'none'}")
    for polarity, part in result["by_polarity"].items():
        if part["kept"] < FEW:
            say(
                f"warning: only {part['kept']} of {part['in']} {polarity} chains were kept; the student may never say it"
            )
    fraction = result["kept"] / result["in"] if result["in"] else 0.0
    if result["kept"] == 0 or fraction < spec.min_keep_fraction:
        raise DataWrong(
            f"the filters kept {result['kept']} of {result['in']} chains ({fraction:.0%}), "
            f"fewer than `filters.min_keep_fraction` = {spec.min_keep_fraction:.0%}; dropped: {result['dropped']}",
            hint="use a better teacher, or loosen the filter that drops most",
        )
