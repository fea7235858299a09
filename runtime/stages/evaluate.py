"""The stage `evaluate`: predict each clip of the test split with a model, without hints.

Reads   model/    or none for the base student; then weights/, if it has released ones
        prepare/  the evaluated data set
        data/     instead of a model: staged predictions of another code base
Writes  predictions.jsonl  {"id", "label", "true", "output", "polarity", "score", "well_formed", "ended", "failure"}, a row a
                           clip in manifest order; `failure` is {"reason", "message"} where there is no score, else null
        times.jsonl        {"id", "seconds", "together"}: time of its answer, and rows in the batch when it began

Metrics are computed from the predictions elsewhere. Times have a file of their own, because they differ from run to run. A
clip whose media cannot be decoded is a prediction without a score (METHOD 4.5); a data set of such clips is an error.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.metrics.answers import FILE, Imported, read_imported
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.evaluate import Engine as EngineSpec
from runtime.console import log_line
from runtime.generation.evaluation_engines import load_engine
from runtime.generation.generate import longest_first
from runtime.models.rows import Reader
from runtime.process.context import refuse_unsupported
from runtime.process.units import UNIT, run_units, shard_index
from runtime.text.chains import AnyFormat, missing_score_reason, parse_answer
from runtime.text.clips import read_manifest, seed_of, write_jsonl
from runtime.training.trainer_arguments import report_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runtime.generation.generate import GeneratedAnswer
    from runtime.models.rows import Row
    from runtime.models.thinker import Student
    from runtime.process.context import Context
    from runtime.text.clips import Clip


ROUNDS = 4
"""Clips of a window, as a multiple of the rows at once. A window is sorted by length, answered as one continuous batch and
stored, so a killed stage loses at most its answers."""
TIMES = ("seconds", "together")
LABEL_TOLERANCE = 0.051
"""Largest difference of labels that agree but for how many decimals were written."""


def run(ctx: Context) -> dict[str, Any] | None:
    """Return counts, or `None` while other pods work on their shares."""
    if "import" in ctx.stage.preimage["spec"]:
        return write_imported(ctx)
    if ctx.world != 1:
        raise InvalidStageSpec(f"evaluation runs in one process, not in {ctx.world}")
    section = ctx.stage.preimage["spec"]["evaluate"]
    decoding = Decoding.model_validate(section.get("decoding", {}))
    engine_spec: EngineSpec = TypeAdapter(EngineSpec).validate_python(section.get("engine", {}))
    refuse_unsupported(decoding, "evaluate", "decoding")
    refuse_unsupported(engine_spec, "evaluate", "engine")
    student, make_engine = load_engine(ctx, decoding)
    reader, scale = open_reader(ctx, student, section.get("score_space", "prompt_range"))
    engine = make_engine(reader)
    ids = reader.ids("test")

    def answer_units(
        missing: Mapping[int, Sequence[str]],
    ) -> Iterator[tuple[int, list[dict[str, Any]] | int]]:
        planned = [
            (window, longest_first([reader.clips[i] for part in window.values() for i in part], ctx.media))
            for window in windows(ids, missing, engine.max_rows, ctx.stage.placement.shards)
        ]
        reader.prefetch(clip.id for _, clips in planned for clip in clips)
        for window, clips in planned:
            seeds = {clip.id: seed_of(ctx.stage.key, clip.id, 0) for clip in clips}
            rows: dict[str, dict[str, Any]] = {}
            for ended in engine.answer(readable_rows(reader, clips, rows), seeds):
                rows |= {
                    generated.id: prediction_row(reader.clips[generated.id], generated, ctx.format, scale)
                    for generated in ended
                }
                yield next(iter(window)), len(ended)
            for number in window.keys() & missing.keys():
                yield number, [rows[clip_id] for clip_id in window[number]]

    with report_out_of_memory("evaluate"):
        rows = run_units(ctx, ids, answer_units)
    reader.close()
    return None if rows is None else write_predictions(ctx, rows)


def write_predictions(ctx: Context, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write the outputs and return the counts of the record. Raises `InvalidData` if no clip can be decoded."""
    failed = Counter(row["failure"]["reason"] for row in rows if row["failure"])
    if failed["media"] == len(rows):
        why = rows[0]["failure"]["message"]
        raise InvalidData(
            f"none of {len(rows)} clips can be decoded: {why}", hint="run `c2f-spec data check`"
        )
    write_jsonl(
        ctx.out / "predictions.jsonl", ({k: v for k, v in row.items() if k not in TIMES} for row in rows)
    )
    write_jsonl(ctx.out / "times.jsonl", ({k: row[k] for k in ("id", *TIMES)} for row in rows))
    return {
        "clips": len(rows),
        "well_formed": sum(row["well_formed"] for row in rows),
        "scored": sum(row["score"] is not None for row in rows),
        "ended": sum(row["ended"] for row in rows),
        **({"failed": dict(sorted(failed.items()))} if failed else {}),
    }


def windows(
    ids: Sequence[str], missing: Mapping[int, Sequence[str]], most: int, shards: int
) -> Iterator[dict[int, Sequence[str]]]:
    """Yield windows: units of this pod's share that are answered together, if one of them is missing.

    Windows divide the whole share, not its missing part, and no batch spans two: so an interruption changes no batch.
    """
    units = -(-len(ids) // UNIT)
    share = range(shard_index(), units, shards)
    size = max(1, ROUNDS * most // UNIT)
    for start in range(0, len(share), size):
        window = share[start : start + size]
        if any(number in missing for number in window):
            yield {number: ids[number * UNIT : (number + 1) * UNIT] for number in window}


def readable_rows(reader: Reader, clips: Sequence[Clip], others: dict[str, dict[str, Any]]) -> Iterator[Row]:
    """Yield the rows of clips that can be decoded; put the predictions of the `others` there."""
    for clip in clips:
        try:
            row = reader.row(clip.id)
        except InvalidData as error:
            others[clip.id] = unreadable_row(clip, error.message)
            log_line(f"warning: clip skipped: {error.message}")
        else:
            yield row


def open_reader(ctx: Context, student: Student, space: str) -> tuple[Reader, Callable[[float], float]]:
    """Return the reader, and a function from answered scores to the data set's scale (METHOD 2.6).

    `prompt_range`: prompts name the evaluated set's range. `as_is`: they name the range trained on, and scores stay.
    `rescale_from_train`: they name the range trained on, and scores are mapped from it to the evaluated set's.
    """
    trained = None
    if space != "prompt_range":
        low, high = ctx.stage.preimage["spec"]["train_range"]
        trained = (float(low), float(high))
    reader = Reader.from_context(ctx, student.processor, score_range=trained)
    if trained is None or space == "as_is":
        return reader, float
    return reader, partial(rescale, source=trained, aim=(reader.low, reader.high))


def rescale(score: float, source: tuple[float, float], aim: tuple[float, float]) -> float:
    """Map `score` linearly from the range `source` to the range `aim`."""
    return aim[0] + (score - source[0]) * (aim[1] - aim[0]) / (source[1] - source[0])


def prediction_row(
    clip: Clip, generated: GeneratedAnswer, fmt: AnyFormat, scale: Callable[[float], float]
) -> dict[str, Any]:
    """Return a row of `predictions.jsonl`, with its times."""
    answer = parse_answer(fmt, generated.text)
    failure = None
    if answer.score is None:
        reason = missing_score_reason(fmt, generated.text)
        failure = {"reason": "unparsable" if generated.ended else "cut short", "message": reason}
    return _row(
        clip,
        output=generated.text,
        polarity=answer.polarity,
        score=None if answer.score is None else scale(answer.score),
        well_formed=answer.well_formed,
        ended=generated.ended,
        failure=failure,
        seconds=round(generated.seconds, 4),
        together=generated.batch_size,
    )


def unreadable_row(clip: Clip, message: str) -> dict[str, Any]:
    """Return the row of a clip without an answer."""
    return _row(clip, failure={"reason": "media", "message": message}, seconds=None, together=0)


def _row(clip: Clip, **fields: Any) -> dict[str, Any]:
    empty = {
        "output": "",
        "polarity": None,
        "score": None,
        "well_formed": False,
        "ended": False,
        "failure": None,
    }
    return {"id": clip.id, "label": clip.label, "true": clip.polarity, **empty, **fields}


def write_imported(ctx: Context) -> dict[str, Any]:
    """Write the staged predictions of another code base as rows, and return counts.

    A clip without a prediction is a row without a score (METHOD 4.5).
    """
    name = ctx.stage.preimage["spec"]["import"]
    clips = read_manifest(ctx.inputs["prepare"], "test")
    if not clips:
        raise InvalidData("the prepared data set has no clips in the split `test`")
    answers = read_imported(ctx.inputs["data"] / FILE)
    assert_same_clips(name, clips, answers)
    rows = [imported_row(clip, answers.get(clip.id)) for clip in clips]
    write_jsonl(ctx.out / "predictions.jsonl", rows)
    missing = sum(clip.id not in answers for clip in clips)
    if missing:
        log_line(
            f"warning: `{name}` has no prediction for {missing} of {len(clips)} clips; they count as unparsable"
        )
    return {"clips": len(rows), "scored": sum(r["score"] is not None for r in rows), "missing": missing}


def assert_same_clips(name: str, clips: Sequence[Clip], answers: Mapping[str, Imported]) -> None:
    """Raise `InvalidData` naming a clip that is not of the test split, or that has another label there."""
    labels = {clip.id: clip.label for clip in clips}
    unknown = sorted(answers.keys() - labels.keys())
    if unknown:
        raise InvalidData(
            f"`{name}` has predictions for {len(unknown)} clips that the test split does not have, such as `{unknown[0]}`",
            hint=f"write ids as in the manifest, such as `{clips[0].id}`, and leave other splits out",
        )
    for clip_id, answer in answers.items():
        if answer.label is not None and abs(answer.label - labels[clip_id]) > LABEL_TOLERANCE:
            raise InvalidData(
                f"`{name}` says that `{clip_id}` has the label {answer.label:g}, and it has {labels[clip_id]:g}",
                hint="check that the predictions are of this data set, and of the same copy of it",
            )


def imported_row(clip: Clip, answer: Imported | None) -> dict[str, Any]:
    """Return a row of `predictions.jsonl`. Imported predictions have a score and no polarity."""
    score = answer.prediction if answer else None
    failure = {"reason": "missing" if answer is None else "unparsable", "message": "no prediction"}
    return _row(
        clip,
        output=answer.output if answer else "",
        score=score,
        ended=True,
        failure=None if score is not None else failure,
    )
