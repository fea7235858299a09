"""filter: the teacher's chains -> those that are fit to train on, with the label as their score.

Reads   prepare/ distil/
Writes  chains.jsonl   kept: {"id", "text"}, and "flags" {filter: reason} where a filter flags instead of dropping
        dropped.jsonl  {"id", "filter", "reason", "text"}
        funnel.json    {"in", "kept", "dropped": {filter: n}, "flagged": {filter: n}, "by_polarity": {polarity: the same}}

A chain is dropped by the first filter that it fails, so in = kept + dropped, by filter and by polarity of the label.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import DataWrong, StageSpecWrong
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import Direct
from c2f_spec.spec.sections import Student as StudentSpec
from runtime.chains import parse, target
from runtime.clips import POLARITIES, read_facts, read_jsonl, read_manifest, write_jsonl
from runtime.context import say
from runtime.verdicts import ORDER, Verdict, cap, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    facts["language"] = facts["language"] if fmt.language == "dataset" else fmt.language
    verdicts = read_verdicts(ctx, fmt)
    if spec.length is not None and spec.length.unit == "tokens":
        facts["tokens"] = tokens(ctx, verdicts)
    judge(verdicts, facts, spec)
    if spec.rebalance == "cap":
        cap(verdicts)
    ctx.progress(len(verdicts), len(verdicts), "chains")

    write_jsonl(ctx.out / "chains.jsonl", (_kept(v, fmt, spec) for v in verdicts if v.failed is None))
    write_jsonl(ctx.out / "dropped.jsonl", (_dropped(v) for v in verdicts if v.failed is not None))
    total = funnel(verdicts)
    by = {p: funnel([v for v in verdicts if v.clip.polarity == p]) for p in POLARITIES}
    assert total["in"] == sum(part["in"] for part in by.values())
    result = {**total, "by_polarity": {p: part for p, part in by.items() if part["in"]}}
    (ctx.out / "funnel.json").write_text(json.dumps(result, indent=1))
    _refuse_too_few(result, spec)
    return result


def read_verdicts(ctx: Context, fmt: AnyFormat) -> list[Verdict]:
    """The chains with their clips, in the teacher's order, none of them judged."""
    clips = {clip.id: clip for clip in read_manifest(ctx.inputs["prepare"], "train")}
    verdicts = []
    for row in read_jsonl(ctx.inputs["distil"] / "chains.jsonl"):
        if row["id"] not in clips:
            raise DataWrong(f"the chain `{row['id']}` is of no training clip", hint="run `distil` again")
        verdicts.append(Verdict(clips[row["id"]], parse(fmt, row["text"]), row["text"]))
    return verdicts


def tokens(ctx: Context, verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Length of each chain of thought in the student's tokens, all counted in one call."""
    from runtime.models import MODELS  # torch, which the other filters do not need

    spec = ctx.section("student", StudentSpec)
    tokenizer = MODELS[spec.kind].tokenizer(spec, ctx.inputs.get("weights"))
    counted = tokenizer([v.answer.think or "" for v in verdicts], add_special_tokens=False)
    return {v.clip.id: len(ids) for v, ids in zip(verdicts, counted["input_ids"], strict=True)}


def _kept(verdict: Verdict, fmt: AnyFormat, spec: Filters) -> dict[str, Any]:
    replaced = spec.replace_score_with_label and verdict.answer.polarity == verdict.clip.polarity
    text = with_label(fmt, verdict.answer, verdict.clip) if replaced else verdict.text
    return {"id": verdict.clip.id, "text": text, **({"flags": verdict.flags} if verdict.flags else {})}


def _dropped(verdict: Verdict) -> dict[str, Any]:
    assert verdict.failed is not None
    name, reason = verdict.failed
    return {"id": verdict.clip.id, "filter": name, "reason": reason, "text": verdict.text}


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


def funnel(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Counts of chains in, kept, and dropped or flagged by each filter."""
    by_filter = Counter(v.failed[0] for v in verdicts if v.failed is not None)
    flagged = Counter(name for v in verdicts if v.failed is None for name in v.flags)
    dropped = {name: by_filter[name] for name in (*ORDER, "rebalance") if by_filter[name]}
    kept = sum(v.failed is None for v in verdicts)
    assert kept + sum(dropped.values()) == len(verdicts), "a chain was dropped by no known filter"
    found: dict[str, Any] = {"in": len(verdicts), "kept": kept, "dropped": dropped}
    return {**found, **({"flagged": dict(flagged)} if flagged else {})}


def _refuse_too_few(result: dict[str, Any], spec: Filters) -> None:
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
