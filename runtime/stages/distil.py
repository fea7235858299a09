"""The stage `distil`: a teacher writes chains of thought for every training clip.

Reads   prepare/    the prepared training set
Writes  chains.jsonl   {"id", "text"}, in manifest order; with "sample" from 0 where `teacher.samples` are several
        failed.jsonl   {"id", "reason", "message"}: clips without an answer of the teacher
        replies.jsonl  {"id", "sample", "try", "text", "reasoning", "finish", "tokens_in", "tokens_out"}: every raw reply
        times.jsonl    {"id", "sample", "try", "seconds", "cost"}: seconds and cost of each reply

The last two only for teachers behind an endpoint. A clip has chains or is in failed.jsonl, never both. Pods may share the
clips; each makes units of them, and the last commits the whole. Answers are in the journal at once, so that a restart
requests the rest.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from c2f_spec.spec.endpoint import Client
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import Teacher as TeacherSpec
from runtime.console import log_line
from runtime.process.units import JsonRow, run_units
from runtime.teachers import TEACHERS
from runtime.teachers.distillation import answer_in_processes, answer_in_threads, cost_so_far, reply_cost
from runtime.teachers.questions import Task, TeacherPrompts, retry_filters
from runtime.text.chains import parse_answer, resolve_language
from runtime.text.clips import read_facts, read_manifest, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runtime.process.context import Context


def run(ctx: Context) -> dict[str, Any] | None:
    """Return counts of clips, well-formed answers and polarities, or `None` while other pods work on their shares."""
    spec = ctx.section("teacher", TeacherSpec)
    folder = ctx.inputs["prepare"]
    facts = read_facts(folder)
    fmt = resolve_language(ctx.format, facts["language"])
    facts["language"] = fmt.language
    clips = {clip.id: clip for clip in read_manifest(folder, "train")}
    if not clips:
        raise InvalidData(
            f"the data set `{facts['name']}` has no training clips", hint="train on another data set"
        )
    retried = retry_filters(Filters.model_validate(ctx.stage.preimage["spec"].get("filters", {})))
    names = ("samples", "retry", "label_visibility", "native_thinking")
    fields = {name: getattr(spec, name) for name in names if hasattr(spec, name)}
    prompts = TeacherPrompts(folder, fmt, facts, retried, **fields)
    names_of_facts = ("language", "low", "high", "family", "rendered")
    task = Task(
        fmt,
        ctx.media,
        **{name: facts[name] for name in names_of_facts},
        endpoint=ctx.stage.placement.endpoint,
        shards=ctx.stage.placement.shards,
        spent=cost_so_far(ctx, list(clips)),
        weights=ctx.inputs.get("weights"),
    )
    make = TEACHERS[spec.kind]
    log_line(f"{spec.kind} writes chains for {len(clips)} clips of {facts['name']}")

    def answer_units(units: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, list[JsonRow] | int]]:
        if not units:
            return
        teacher = make(spec, task)
        try:
            yield from (answer_in_threads if teacher.concurrency else answer_in_processes)(
                ctx, teacher, prompts, clips, units
            )
        finally:
            teacher.close()

    rows = run_units(ctx, list(clips), answer_units)
    return None if rows is None else write_chains(ctx, prompts, list(clips), rows)


def write_chains(
    ctx: Context, prompts: TeacherPrompts, ids: Sequence[str], rows: Sequence[JsonRow]
) -> dict[str, Any]:
    """Write the outputs in manifest order, and return the counts of the record."""
    chains = [
        {
            "id": row["id"],
            **({"sample": row["sample"]} if prompts.samples > 1 else {}),
            "text": prompts.answer(row["tries"][-1]["text"]),
        }
        for row in rows
        if row["tries"]
    ]
    kept = {chain["id"] for chain in chains}
    failed = {row["id"]: row["failed"] for row in rows if row["id"] not in kept}
    reasons = Counter(why["reason"] for why in failed.values())
    assert len(ids) == len(kept) + reasons.total(), "a clip has neither chains nor a reason"
    if not chains:
        raise InvalidData(
            f"the teacher answered none of {len(ids)} clips: {dict(reasons)}", hint="see the log"
        )
    write_jsonl(ctx.out / "chains.jsonl", chains)
    write_jsonl(ctx.out / "failed.jsonl", ({"id": i, **why} for i, why in failed.items()))
    answers = [parse_answer(ctx.format, chain["text"]) for chain in chains]
    return {
        "clips": len(ids),
        "chains": len(chains),
        "well_formed": sum(a.well_formed for a in answers),
        "polarity": dict(Counter(answer.polarity or "none" for answer in answers)),
        "kept": len(kept),
        "failed": dict(reasons),
        **_write_replies(ctx, rows),
    }


def _write_replies(ctx: Context, rows: Sequence[JsonRow]) -> dict[str, Any]:
    """Write replies, and in another file times and costs, which differ from run to run."""
    if not any("tokens_in" in reply for row in rows for reply in row["tries"]):
        return {}
    endpoint = ctx.stage.placement.endpoint
    client = endpoint.client if endpoint else Client()
    replies, times = [], []
    for row in rows:
        for number, reply in enumerate(row["tries"]):
            which = {"id": row["id"], "sample": row["sample"], "try": number}
            without_seconds = {name: value for name, value in reply.items() if name != "seconds"}
            replies.append({**which, **without_seconds})
            times.append({**which, "seconds": round(reply["seconds"], 3), "cost": reply_cost(client, reply)})
    write_jsonl(ctx.out / "replies.jsonl", replies)
    write_jsonl(ctx.out / "times.jsonl", times)
    return {
        "replies": len(replies),
        "tokens_in": sum(reply["tokens_in"] or 0 for reply in replies),
        "tokens_out": sum(reply["tokens_out"] or 0 for reply in replies),
        "cost": round(sum(each["cost"] for each in times), 4),
    }
