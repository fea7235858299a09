"""A model and a prepared data set -> one prediction for each clip of the test split. Hints are never given here.

Reads   model/    or none for the base student; then weights/, if it has released ones
        prepare/  the evaluated data set
Writes  predictions.jsonl  {"id", "label", "true", "output", "polarity", "score", "well_formed", "ended", "failure"}, a row a
                           clip in manifest order; `failure` is {"reason", "message"} where there is no score, else null
        times.jsonl        {"id", "seconds", "together"}: how long its answer took, and how many were answered at once when
                           it began

Metrics are computed from the predictions elsewhere. How long an answer took stands apart, because no two runs agree in
it. A clip whose media cannot be read is a prediction without a score (METHOD 4.5); a data set of such clips is an error.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.evaluate import Engine as EngineSpec
from c2f_spec.spec.sections import Student as StudentSpec
from c2f_spec.spec.student import positions
from runtime.console import log_line
from runtime.generation import imported_predictions
from runtime.generation.generate import Generating, by_length
from runtime.generation.vllm_evaluation import Serving, checkpoint_folder, processor_of
from runtime.models import MODELS
from runtime.models.rows import Reader
from runtime.models.student import Student, device
from runtime.process.context import refuse_unsupported
from runtime.process.units import UNIT, run_units, shard_index
from runtime.text.chains import AnyFormat, parse, without_score
from runtime.text.clips import seed_of, write_jsonl
from runtime.training.arguments import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runtime.generation.generate import Engine, Said
    from runtime.models.rows import Row
    from runtime.process.context import Context
    from runtime.text.clips import Clip

ROUNDS = 4
"""How many times as many clips as are answered at once are ordered by length together, answered in each other's places
and stored: what a stage that is killed loses is at most their answers."""
TIMES = ("seconds", "together")


def run(ctx: Context) -> dict[str, Any] | None:
    """Counts, or `None` while other pods are at their shares."""
    if "import" in ctx.stage.preimage["spec"]:
        return imported_predictions.run(ctx)
    if ctx.world != 1:
        raise InvalidStageSpec(f"evaluation runs in one process, not in {ctx.world}")
    section = ctx.stage.preimage["spec"]["evaluate"]
    decoding = Decoding.model_validate(section.get("decoding", {}))
    engine_spec: EngineSpec = TypeAdapter(EngineSpec).validate_python(section.get("engine", {}))
    refuse_unsupported(decoding, "evaluate", "decoding")
    refuse_unsupported(engine_spec, "evaluate", "engine")
    student, start = opened(ctx, decoding)
    reader, scale = questions(ctx, student, section.get("score_space", "prompt_range"))
    engine = start(reader)
    ids = reader.ids("test")

    def answered(missing: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, list[dict[str, Any]] | int]]:
        planned = [
            (window, by_length([reader.clips[i] for part in window.values() for i in part], ctx.media))
            for window in windows(ids, missing, engine.most, ctx.stage.placement.shards)
        ]
        reader.expect(clip.id for _, clips in planned for clip in clips)
        for window, clips in planned:
            seeds = {clip.id: seed_of(ctx.stage.key, clip.id, 0) for clip in clips}
            made: dict[str, dict[str, Any]] = {}
            for ended in engine.answer(readable(reader, clips, made), seeds):
                made |= {
                    said.id: prediction(reader.clips[said.id], said, ctx.format, scale) for said in ended
                }
                yield next(iter(window)), len(ended)
            for number in window.keys() & missing.keys():
                yield number, [made[clip_id] for clip_id in window[number]]

    with memory("evaluate"):
        made = run_units(ctx, ids, answered)
    reader.close()
    return None if made is None else write(ctx, made)


def write(ctx: Context, made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The outputs, and what the record says of them. Raises `InvalidData` if no clip could be read."""
    failed = Counter(row["failure"]["reason"] for row in made if row["failure"])
    if failed["media"] == len(made):
        why = made[0]["failure"]["message"]
        raise InvalidData(
            f"none of {len(made)} clips can be read: {why}", hint="`data check` looks at them all"
        )
    write_jsonl(
        ctx.out / "predictions.jsonl", ({k: v for k, v in row.items() if k not in TIMES} for row in made)
    )
    write_jsonl(ctx.out / "times.jsonl", ({k: row[k] for k in ("id", *TIMES)} for row in made))
    return {
        "clips": len(made),
        "well_formed": sum(row["well_formed"] for row in made),
        "scored": sum(row["score"] is not None for row in made),
        "ended": sum(row["ended"] for row in made),
        **({"failed": dict(sorted(failed.items()))} if failed else {}),
    }


def windows(
    ids: Sequence[str], missing: Mapping[int, Sequence[str]], most: int, shards: int
) -> Iterator[dict[int, Sequence[str]]]:
    """Units that are answered together, of this pod's share, without windows that miss nothing.

    Cut from the whole share and not from what is missing of it: so an interruption changes no batch. The model does not
    go on from one window to the next for the same reason.
    """
    units = -(-len(ids) // UNIT)
    share = range(shard_index(), units, shards)
    size = max(1, ROUNDS * most // UNIT)
    for start in range(0, len(share), size):
        window = share[start : start + size]
        if any(number in missing for number in window):
            yield {number: ids[number * UNIT : (number + 1) * UNIT] for number in window}


def readable(reader: Reader, clips: Sequence[Clip], others: dict[str, dict[str, Any]]) -> Iterator[Row]:
    """The rows of clips that can be read; what is to be said of the `others` is put there."""
    for clip in clips:
        try:
            row = reader.row(clip.id)
        except InvalidData as error:
            others[clip.id] = unreadable(clip, error.message)
            log_line(f"warning: no answer is asked for: {error.message}")
        else:
            yield row


def opened(ctx: Context, decoding: Decoding) -> tuple[Student, Callable[[Reader], Engine]]:
    """The model under evaluation, and what makes of it the engine that the placement names; vLLM reads its own."""
    spec, place = ctx.section("student", StudentSpec), ctx.stage.placement.vllm
    kind = MODELS[spec.kind]
    if place is None:
        student = checkpoint(ctx)
        student.model.eval().to(device())
        return student, lambda _: Generating(student, decoding, kind.rows_generated)
    folder = checkpoint_folder(ctx, spec)
    asking = processor_of(folder)
    longest, half = positions(spec), kind.half(spec)
    return asking, lambda reader: Serving(
        folder, asking.processor, decoding, place, reader.shown, half=half, longest=longest
    )


def checkpoint(ctx: Context) -> Student:
    """The model under evaluation."""
    spec = ctx.section("student", StudentSpec)
    if "model" in ctx.inputs:
        return MODELS[spec.kind].load(spec, ctx.inputs["model"] / "model")
    which = ctx.stage.preimage["spec"]["checkpoint"]
    if which != "base":
        raise InvalidStageSpec(f"the checkpoint `{which}` was not handed to this stage")
    return MODELS[spec.kind].base(spec, ctx.seed, ctx.inputs.get("weights"))


def questions(ctx: Context, student: Student, space: str) -> tuple[Reader, Callable[[float], float]]:
    """The clips with their prompts, and what makes an answered score one of the data set (METHOD 2.6).

    `prompt_range`: prompts name the evaluated set's range. `as_is`: they name the range trained on, and scores stay.
    `rescale_from_train`: they name the range trained on, and scores are mapped from it to the evaluated set's.
    """
    trained = None
    if space != "prompt_range":
        low, high = ctx.stage.preimage["spec"]["train_range"]
        trained = (float(low), float(high))
    reader = Reader.of(ctx, student.processor, score_range=trained)
    if trained is None or space == "as_is":
        return reader, float
    return reader, partial(rescale, source=trained, aim=(reader.low, reader.high))


def rescale(score: float, source: tuple[float, float], aim: tuple[float, float]) -> float:
    """`score` on the scale `source` -> the same place on the scale `aim`."""
    return aim[0] + (score - source[0]) * (aim[1] - aim[0]) / (source[1] - source[0])


def prediction(clip: Clip, said: Said, fmt: AnyFormat, scale: Callable[[float], float]) -> dict[str, Any]:
    """A row of `predictions.jsonl`, with how long it took."""
    answer = parse(fmt, said.text)
    failure = None
    if answer.score is None:
        why = without_score(fmt, said.text)
        failure = {"reason": "unparsable" if said.ended else "cut short", "message": why}
    return {
        "id": clip.id,
        "label": clip.label,
        "true": clip.polarity,
        "output": said.text,
        "polarity": answer.polarity,
        "score": None if answer.score is None else scale(answer.score),
        "well_formed": answer.well_formed,
        "ended": said.ended,
        "failure": failure,
        "seconds": round(said.seconds, 4),
        "together": said.together,
    }


def unreadable(clip: Clip, message: str) -> dict[str, Any]:
    """The row of a clip that no answer was asked for."""
    return {
        "id": clip.id,
        "label": clip.label,
        "true": clip.polarity,
        "output": "",
        "polarity": None,
        "score": None,
        "well_formed": False,
        "ended": False,
        "failure": {"reason": "media", "message": message},
        "seconds": None,
        "together": 0,
    }
