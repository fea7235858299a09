"""distil: the teacher writes a chain of thought for every training clip.

Reads   prepare/    the prepared training set
Writes  chains.jsonl {"id", "text"}, in manifest order

The teacher is given a clip's words and media and nothing else; what it wrote is compared with the labels in `filter`.
Pods may share the clips; each writes units of them, and the last commits the whole.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import DataWrong, StageSpecWrong
from c2f_spec.spec.sections import Teacher as TeacherSpec
from runtime.chains import parse
from runtime.clips import read_facts, read_manifest, write_jsonl
from runtime.context import say
from runtime.parallel import over_cores
from runtime.teachers import TEACHERS
from runtime.teachers.base import Task
from runtime.units import in_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from runtime.context import Context
    from runtime.teachers.base import Teacher


def run(ctx: Context) -> dict[str, Any] | None:
    """Counts of clips, of answers in the right form and of polarities, or `None` while other pods are at their shares."""
    spec = ctx.section("teacher", TeacherSpec)
    if spec.kind not in TEACHERS:
        raise StageSpecWrong(
            f"this version cannot run a teacher of kind `{spec.kind}`", hint=f"it has {', '.join(TEACHERS)}"
        )
    folder = ctx.inputs["prepare"]
    facts = read_facts(folder)
    names = ("language", "low", "high", "family", "rendered")
    teacher = TEACHERS[spec.kind](spec, Task(ctx.format, ctx.media, **{name: facts[name] for name in names}))

    clips = {clip.id: clip for clip in read_manifest(folder, "train")}
    if not clips:
        raise DataWrong(
            f"the data set `{facts['name']}` has no training clips", hint="train on another data set"
        )
    say(f"{spec.kind} writes chains for {len(clips)} clips of {facts['name']}")

    def written(units: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        asked = [clips[clip_id] for part in units.values() for clip_id in part]
        texts = over_cores(partial(_ask, teacher), [(clip.text, folder / clip.media) for clip in asked])
        for number, part in units.items():
            yield number, [{"id": clip_id, "text": next(texts)} for clip_id in part]

    chains = in_units(ctx, list(clips), written)
    if chains is None:
        return None
    write_jsonl(ctx.out / "chains.jsonl", chains)

    answers = [parse(ctx.format, chain["text"]) for chain in chains]
    polarity = Counter(answer.polarity or "none" for answer in answers)
    return {
        "chains": len(chains),
        "well_formed": sum(a.well_formed for a in answers),
        "polarity": dict(polarity),
    }


def _ask(teacher: Teacher, question: tuple[str, Path]) -> str:
    return teacher.answer(*question)
