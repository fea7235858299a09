"""distil: the teacher writes chains of thought for every training clip.

Reads   prepare/    the prepared training set
Writes  chains.jsonl   {"id", "text"}, in manifest order; with "sample" from 0 where `teacher.samples` are several
        failed.jsonl   {"id", "reason", "message"}: clips that the teacher gave no answer to
        replies.jsonl  {"id", "sample", "try", "text", "reasoning", "finish", "tokens_in", "tokens_out"}: every reply, raw
        asked.jsonl    {"id", "sample", "try", "seconds", "cost"}: how long each took, and what it cost

The last two only of teachers that are asked and do not merely compute. A clip has chains or is in failed.jsonl, and
never both. Pods may share the clips; each makes units of them, and the last commits the whole. What was answered is in
the journal at once, so that a restart asks for the rest.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from c2f_spec.spec.endpoint import Client
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import Teacher as TeacherSpec
from runtime.console import log_line
from runtime.process.units import run_units
from runtime.teachers import TEACHERS
from runtime.teachers.base import Task
from runtime.teachers.distillation import asked, computed, cost_of, spent
from runtime.teachers.teacher_prompts import Asking, retried
from runtime.text.chains import parse, spoken
from runtime.text.clips import read_facts, read_manifest, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runtime.process.context import Context
    from runtime.teachers.distillation import Row


def run(ctx: Context) -> dict[str, Any] | None:
    """Counts of clips, of answers in the right form and of polarities, or `None` while other pods are at their shares."""
    spec = ctx.section("teacher", TeacherSpec)
    folder = ctx.inputs["prepare"]
    facts = read_facts(folder)
    fmt = spoken(ctx.format, facts["language"])
    facts["language"] = fmt.language
    clips = {clip.id: clip for clip in read_manifest(folder, "train")}
    if not clips:
        raise InvalidData(
            f"the data set `{facts['name']}` has no training clips", hint="train on another data set"
        )
    again = retried(Filters.model_validate(ctx.stage.preimage["spec"].get("filters", {})))
    names = {
        "samples": "samples",
        "retry": "retry",
        "visibility": "label_visibility",
        "thinking": "native_thinking",
    }
    given = {ours: getattr(spec, name) for ours, name in names.items() if hasattr(spec, name)}
    asking = Asking(folder, fmt, facts, again, **given)
    known = ("language", "low", "high", "family", "rendered")
    task = Task(
        fmt,
        ctx.media,
        **{name: facts[name] for name in known},
        endpoint=ctx.stage.placement.endpoint,
        shards=ctx.stage.placement.shards,
        spent=spent(ctx, list(clips)),
        weights=ctx.inputs.get("weights"),
    )
    make = TEACHERS[spec.kind]
    log_line(f"{spec.kind} writes chains for {len(clips)} clips of {facts['name']}")

    def written(units: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, list[Row] | int]]:
        if not units:
            return
        teacher = make(spec, task)
        try:
            yield from (asked if teacher.at_once else computed)(ctx, teacher, asking, clips, units)
        finally:
            teacher.close()

    rows = run_units(ctx, list(clips), written)
    return None if rows is None else write(ctx, asking, list(clips), rows)


def write(ctx: Context, asking: Asking, ids: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """The outputs, in manifest order whatever came first, and what the record says of them."""
    chains = [
        {
            "id": row["id"],
            **({"sample": row["sample"]} if asking.samples > 1 else {}),
            "text": asking.answer(row["tries"][-1]["text"]),
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
            f"the teacher answered none of {len(ids)} clips: {dict(reasons)}", hint="the log has more"
        )
    write_jsonl(ctx.out / "chains.jsonl", chains)
    write_jsonl(ctx.out / "failed.jsonl", ({"id": i, **why} for i, why in failed.items()))
    answers = [parse(ctx.format, chain["text"]) for chain in chains]
    return {
        "clips": len(ids),
        "chains": len(chains),
        "well_formed": sum(a.well_formed for a in answers),
        "polarity": dict(Counter(answer.polarity or "none" for answer in answers)),
        "kept": len(kept),
        "failed": dict(reasons),
        **_write_replies(ctx, rows),
    }


def _write_replies(ctx: Context, rows: Sequence[Row]) -> dict[str, Any]:
    """What was answered to each try, and apart from it what no two runs have in common."""
    if not any("tokens_in" in reply for row in rows for reply in row["tries"]):
        return {}
    endpoint = ctx.stage.placement.endpoint
    client = endpoint.client if endpoint else Client()
    replies, times = [], []
    for row in rows:
        for number, reply in enumerate(row["tries"]):
            which = {"id": row["id"], "sample": row["sample"], "try": number}
            said = {name: value for name, value in reply.items() if name != "seconds"}
            replies.append({**which, **said})
            times.append({**which, "seconds": round(reply["seconds"], 3), "cost": cost_of(client, reply)})
    write_jsonl(ctx.out / "replies.jsonl", replies)
    write_jsonl(ctx.out / "asked.jsonl", times)
    return {
        "replies": len(replies),
        "tokens_in": sum(reply["tokens_in"] or 0 for reply in replies),
        "tokens_out": sum(reply["tokens_out"] or 0 for reply in replies),
        "cost": round(sum(each["cost"] for each in times), 4),
    }
