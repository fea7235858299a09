"""The stage `filter`: select the teacher's chains for training, and replace their scores with the labels.

Reads   prepare/ distil/
Writes  chains.jsonl   kept, one a clip: {"id", "text"}, and "flags" {filter: reason} where a filter flags instead of dropping
        dropped.jsonl  {"id", "filter", "reason", "value", "text"}
        marks.jsonl    {"id", "value", "reason", "tokens_in", "tokens_out"}: marks of the filter `judge`, if set
        funnel.json    {"in", "kept", "dropped": {filter: n}, "failed": {reason: n}, "flagged": {filter: n},
                        "by_split": {split: the same}, "by_polarity": {polarity: the same}}

Of several chains of a clip the first that passes is kept. A chain is dropped by the first filter that it fails, and a clip
without an answer of the teacher fails, so in = kept + dropped + failed (`runtime/filters/filter_chain.py` asserts it).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import Direct
from c2f_spec.spec.sections import Student as StudentSpec
from runtime.console import log_line
from runtime.filters.filter_chain import (
    ChainResult,
    check_each,
    check_together,
    choose_per_clip,
    funnels,
    limit_per_polarity,
    rebalance,
)
from runtime.text.chains import canonical_answer, parse_answer, resolve_language
from runtime.text.clips import read_facts, read_jsonl, read_manifest, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.filters.filter_chain import Failures
    from runtime.process.context import Context
    from runtime.text.chains import Answer, AnyFormat
    from runtime.text.clips import Clip


NOT_ADOPTED = "not among the adopted chains"


def run(ctx: Context) -> dict[str, Any]:
    """Return the funnel."""
    spec: Filters = ctx.section("filters", Filters)
    facts = read_facts(ctx.inputs["prepare"])
    fmt = resolve_language(ctx.format, facts["language"])
    facts["language"] = fmt.language
    if isinstance(fmt, Direct):
        raise InvalidStageSpec(
            "a direct answer has no chain to filter", hint="remove `filters` and `teacher`"
        )
    if spec.replace_score_with_label and spec.polarity_match is None:
        raise InvalidStageSpec(
            "`replace_score_with_label` without `polarity_match` would write labels under chains that contradict them",
            hint="add `polarity_match: {}` to `filters`, or set `replace_score_with_label: false`",
        )
    clips = {clip.id: clip for clip in read_manifest(ctx.inputs["prepare"], "train")}
    chains = read_chains(ctx, fmt, clips)
    failures = read_failures(ctx, clips, chains)
    if spec.length is not None and spec.length.unit == "tokens":
        facts["tokens"] = count_tokens(ctx, chains)
    facts["stage"] = ctx
    check_each(chains, facts, spec)
    results = choose_per_clip(chains)
    check_together(results, facts, spec)
    limit_per_polarity(results, spec.most)
    if spec.rebalance == "cap":
        rebalance(results)
    ctx.progress(len(clips), len(clips), "clips")

    write_jsonl(ctx.out / "chains.jsonl", (_chain_row(r, fmt, spec) for r in results if r.failed is None))
    write_jsonl(ctx.out / "dropped.jsonl", (_dropped_row(r) for r in results if r.failed is not None))
    counts = funnels(results, failures)
    assert counts["in"] == len(clips), "a training clip is lost"
    (ctx.out / "funnel.json").write_text(json.dumps(counts, indent=1))
    _refuse_too_few(counts, spec)
    return counts


def read_chains(ctx: Context, fmt: AnyFormat, clips: Mapping[str, Clip]) -> list[ChainResult]:
    """Return the chains with their clips, in the teacher's order, not filtered yet."""
    results = []
    for row in read_jsonl(ctx.inputs["distil"] / "chains.jsonl"):
        if row["id"] not in clips:
            raise InvalidData(f"the chain `{row['id']}` is not of a training clip", hint="run `distil` again")
        answer = parse_answer(fmt, row["text"])
        results.append(ChainResult(clips[row["id"]], answer, row["text"], row.get("sample", 0)))
    return results


def read_failures(ctx: Context, clips: Mapping[str, Clip], chains: Sequence[ChainResult]) -> Failures:
    """Return the clips without a chain, with reasons. Raises `InvalidData` for a clip with neither or both.

    Adopted chains have no failed.jsonl, and need not be of every clip.
    """
    path = ctx.inputs["distil"] / "failed.jsonl"
    answered = {result.clip.id for result in chains}
    if not path.exists():
        return [(clip, NOT_ADOPTED) for name, clip in clips.items() if name not in answered]
    failed = {row["id"]: row["reason"] for row in read_jsonl(path)}
    for wrong, how in (
        (answered & failed.keys(), "have chains and failed"),
        (clips.keys() - answered - failed.keys(), "have no chain and did not fail"),
        (failed.keys() - clips.keys(), "failed and are no training clips"),
    ):
        if wrong:
            raise InvalidData(f"{len(wrong)} clips {how}, such as `{min(wrong)}`", hint="run `distil` again")
    return [(clip, failed[name]) for name, clip in clips.items() if name in failed]


def count_tokens(ctx: Context, results: Sequence[ChainResult]) -> dict[str, int]:
    """Return the length of each chain of thought in the student's tokens, counted in one call."""
    from runtime.models import MODELS  # torch, which the other filters do not need

    spec = ctx.section("student", StudentSpec)
    tokenizer = MODELS[spec.kind].tokenizer(spec, ctx.inputs.get("weights"))
    thoughts = list(dict.fromkeys(r.answer.think or "" for r in results))
    counted = tokenizer(thoughts, add_special_tokens=False)
    return {think: len(ids) for think, ids in zip(thoughts, counted["input_ids"], strict=True)}


def _chain_row(result: ChainResult, fmt: AnyFormat, spec: Filters) -> dict[str, Any]:
    replaced = spec.replace_score_with_label and result.answer.polarity == result.clip.polarity
    text = with_label(fmt, result.answer, result.clip) if replaced else result.text
    return {"id": result.clip.id, "text": text, **({"flags": result.flags} if result.flags else {})}


def _dropped_row(result: ChainResult) -> dict[str, Any]:
    assert result.failed is not None
    name, (reason, value) = result.failed
    return {"id": result.clip.id, "filter": name, "reason": reason, "value": value, "text": result.text}


def with_label(fmt: AnyFormat, answer: Answer, clip: Clip) -> str:
    """Return the chain with the label as its score (paper)."""
    text = canonical_answer(fmt, clip.polarity, answer.think or "", clip.label)
    parsed = parse_answer(fmt, text)
    assert parsed.well_formed, text
    assert parsed.polarity == clip.polarity, text
    assert parsed.think == answer.think, text
    assert parsed.score is not None, text
    assert abs(parsed.score - clip.label) <= 0.5001 * 10**-fmt.label_decimals, text
    return text


def _refuse_too_few(result: dict[str, Any], spec: Filters) -> None:
    """Raise `InvalidData` if too few chains are left, of all or of one polarity (METHOD 3)."""
    log_line(f"kept {result['kept']} of {result['in']} clips; dropped: {result['dropped'] or 'none'}")
    if "failed" in result:
        log_line(
            f"clips without an answer of the teacher: {sum(result['failed'].values())}: {result['failed']}"
        )
    fraction = result["kept"] / result["in"] if result["in"] else 0.0
    few = f", fewer than `filters.min_keep_fraction` = {spec.min_keep_fraction:.0%}"
    if result["kept"] == 0 or fraction < spec.min_keep_fraction:
        raise InvalidData(
            f"the filters kept {result['kept']} of {result['in']} clips ({fraction:.0%}){few if result['kept'] else ''}; "
            f"dropped: {result['dropped']}",
            hint="use a better teacher, or loosen the filter that drops most (`null` turns it off)",
        )
    for polarity, part in result["by_polarity"].items():
        few = f"only {part['kept']} of {part['in']} {polarity} clips were kept"
        if part["kept"] >= spec.min_keep_polarity:
            continue
        if part["in"] < 2 * spec.min_keep_polarity:
            log_line(f"warning: {few}, and the set has few more; the student may never answer it")
            continue
        raise InvalidData(
            f"{few}, fewer than `filters.min_keep_polarity` = {spec.min_keep_polarity}; dropped: {part['dropped']}",
            hint="use a better teacher, loosen the filter that drops most of them, or lower the bound",
        )
