"""A model and a prepared data set -> one prediction for each clip of the test split. Hints are never given here.

Inputs: `model`, or none for the base student (then `weights`, if it has released ones); `prepare`, the evaluated data
set. Output: `predictions.jsonl`, a row a clip in manifest order. Metrics are computed from it elsewhere.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter

from c2f_spec.errors import StageSpecWrong
from c2f_spec.spec.evaluate import Decoding, Engine
from c2f_spec.spec.sections import Student as StudentSpec
from runtime.chains import AnyFormat, parse
from runtime.clips import write_jsonl
from runtime.context import refuse_unsupported
from runtime.models import MODELS
from runtime.models.student import Student, device, generation
from runtime.training.arguments import memory
from runtime.training.batches import prompt_batch
from runtime.training.rows import Reader
from runtime.units import in_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runtime.clips import Clip
    from runtime.context import Context
    from runtime.training.rows import Row


def run(ctx: Context) -> dict[str, Any] | None:
    """Counts, or `None` while other pods are at their shares."""
    if ctx.world != 1:
        raise StageSpecWrong(f"evaluation runs in one process, not in {ctx.world}")
    section = ctx.stage.preimage["spec"]["evaluate"]
    decoding = Decoding.model_validate(section.get("decoding", {}))
    engine: Engine = TypeAdapter(Engine).validate_python(section.get("engine", {}))
    refuse_unsupported(decoding, "evaluate", "decoding")
    refuse_unsupported(engine, "evaluate", "engine")
    kind = MODELS[ctx.section("student", StudentSpec).kind]
    student = checkpoint(ctx)
    student.model.eval().to(device())

    reader, scale = questions(ctx, student, section.get("score_space", "prompt_range"))
    settings = generation(student.tokenizer, decoding.max_new_tokens, decoding.temperature)
    ids = reader.ids("test")

    def answered(units: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        reader.expect(clip_id for part in units.values() for clip_id in part)
        for number, part in units.items():
            torch.manual_seed(seed_of(ctx, number))
            made = []
            for start in range(0, len(part), kind.rows_generated):
                rows = [reader.row(clip_id) for clip_id in part[start : start + kind.rows_generated]]
                for row, (output, ended) in zip(rows, answers(student, rows, settings), strict=True):
                    answer = prediction(reader.clips[row.id], output, ctx.format, scale)
                    made.append({**answer, "ended": ended})
            yield number, made

    with memory("evaluate"):
        made = in_units(ctx, ids, answered)
    if made is None:
        return None
    write_jsonl(ctx.out / "predictions.jsonl", made)
    return {
        "clips": len(made),
        "well_formed": sum(row["well_formed"] for row in made),
        "scored": sum(row["score"] is not None for row in made),
        "ended": sum(row["ended"] for row in made),
    }


def seed_of(ctx: Context, unit: int) -> int:
    """Of the sampling of a unit: the same whichever pod answers it, and after whatever interruption."""
    drawn = hashlib.sha256(f"{ctx.stage.key}:{ctx.seed}:{unit}".encode()).digest()
    return int.from_bytes(drawn[:6], "big")


def checkpoint(ctx: Context) -> Student:
    """The model under evaluation."""
    spec = ctx.section("student", StudentSpec)
    if "model" in ctx.inputs:
        return MODELS[spec.kind].load(spec, ctx.inputs["model"] / "model")
    which = ctx.stage.preimage["spec"]["checkpoint"]
    if which != "base":
        raise StageSpecWrong(f"the checkpoint `{which}` was not handed to this stage")
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


def prediction(clip: Clip, output: str, fmt: AnyFormat, scale: Callable[[float], float]) -> dict[str, Any]:
    """A row of `predictions.jsonl`."""
    answer = parse(fmt, output)
    return {
        "id": clip.id,
        "label": clip.label,
        "true": clip.polarity,
        "output": output,
        "polarity": answer.polarity,
        "score": None if answer.score is None else scale(answer.score),
        "well_formed": answer.well_formed,
    }


def answers(student: Student, rows: Sequence[Row], settings: Any) -> list[tuple[str, bool]]:
    """The text that the model writes for each row, and whether it came to an end by itself."""
    opening = student.tokenizer.encode(turn_opening(student.processor), add_special_tokens=False)
    for row in rows:
        assert list(row.prompt[-len(opening) :]) == opening, (
            "an answer was begun for the model: that is a hint"
        )
    batch = {k: v.to(device()) for k, v in prompt_batch(rows, student.tokenizer.pad_token_id).items()}
    with torch.no_grad():
        ids_BT = student.model.generate(**batch, generation_config=settings)[:, batch["input_ids"].shape[1] :]
    ended_B = (ids_BT == student.tokenizer.eos_token_id).any(dim=1).tolist()
    return list(zip(student.processor.batch_decode(ids_BT, skip_special_tokens=True), ended_B, strict=True))


def turn_opening(processor: Any) -> str:
    """What the chat template writes to open the assistant's turn."""
    message = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    bare: str = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=False)
    opened: str = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    return opened.removeprefix(bare)
