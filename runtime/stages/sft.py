"""Cold start: the base student and the kept chains -> a student that writes them (paper, eq. 1; METHOD 1.1).

Inputs: `prepare`; `filter`, unless the format is direct, whose targets are the labels; `weights` for a student with
released weights. Output: `model/`, `metrics.jsonl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets import Dataset

from c2f_spec.errors import InvalidData
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.sections import Direct, Sft
from c2f_spec.spec.sections import Student as StudentSpec
from c2f_spec.spec.student import positions
from runtime.models import MODELS
from runtime.models.batches import AnswerCollator
from runtime.models.rows import Reader
from runtime.models.student import freeze
from runtime.text.chains import AnyFormat, target
from runtime.text.clips import read_jsonl
from runtime.training.arguments import assert_alike, memory, shared, split_batch
from runtime.training.metrics_callback import Watch
from runtime.training.select import BestValid
from runtime.training.sft import OmniSFTTrainer, SFTConfig
from runtime.training.train import train
from runtime.training.tuner import adapters, save_trained, trains_towers, widen

if TYPE_CHECKING:
    from runtime.process.context import Context

NUMBER_TOKENS = 16
METRICS = {
    "loss": "loss",  # nats a token
    "grad_norm": "grad_norm",  # before clipping
    "learning_rate": "learning_rate",
    "mean_token_accuracy": "token_accuracy",
}


def run(ctx: Context) -> dict[str, Any]:
    sft: Sft = ctx.section("sft", Sft)
    spec = ctx.section("student", StudentSpec)
    kind = MODELS[spec.kind]
    student = kind.base(spec, ctx.seed, ctx.inputs.get("weights"))
    freeze(student.model, kind.frozen(spec))
    zero = ctx.stage.placement.spread(ctx.world)
    widen(sft.tuner, student.model, zero)

    reader = Reader.of(ctx, student.processor)
    assert_alike(zero, "sft", reader.clips.values(), towers_trained=trains_towers(sft.tuner, student.model))
    examples = targets(ctx, reader)
    rows, passes = split_batch(sft.batch, ctx.world, ctx.stage.placement.micro_batch or kind.rows_trained)
    watch = Watch(ctx, METRICS, score="-loss")
    trainer = OmniSFTTrainer(
        model=student.model,
        processing_class=student.processor,
        train_dataset=Dataset.from_list(examples),
        data_collator=AnswerCollator(reader, student.tokenizer, sft.max_tokens or positions(spec)),
        callbacks=[watch],
        peft_config=adapters(sft.tuner, student.model),
        args=SFTConfig(
            **shared(ctx, sft, student, rows=rows, passes=passes, half=kind.half(spec)),
            # The collator reads media and masks everything but the answer.
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
        ),
    )
    best = None
    if sft.select == "best_valid":
        best = BestValid(
            ctx,
            trainer,
            reader,
            student.tokenizer,
            rows=kind.rows_generated,
            max_new_tokens=longest_answer(ctx.format),
        )
        trainer.add_callback(best)
    with memory("sft"):
        train(ctx, trainer, watch)
    selected = best.take() if best else {}
    save_trained(trainer, student, ctx.out / "model")
    return {"examples": len(examples), "steps": trainer.state.global_step, **watch.last, **selected}


def longest_answer(fmt: AnyFormat) -> int:
    """Tokens of an answer to a validation clip: evaluation's, or of a number."""
    return NUMBER_TOKENS if isinstance(fmt, Direct) else Decoding().max_new_tokens


def targets(ctx: Context, reader: Reader) -> list[dict[str, str]]:
    """What the student shall write, as {"id", "text"}: the kept chains, or the labels of the training split."""
    fmt = ctx.format
    if isinstance(fmt, Direct):
        clips = [reader.clips[clip_id] for clip_id in reader.ids("train")]
        return [{"id": c.id, "text": target(fmt, c.polarity, "", c.label)} for c in clips]
    chains = ctx.inputs["filter"] / "chains.jsonl"
    rows = [{"id": row["id"], "text": row["text"]} for row in read_jsonl(chains)]
    if not rows:
        raise InvalidData("no chain was kept, so there is nothing to fine-tune on", hint="loosen the filters")
    for row in rows:
        if row["id"] not in reader.clips or reader.clips[row["id"]].split != "train":
            raise InvalidData(f"{chains}: `{row['id']}` is not a clip of the training split")
        reader.assert_plain(row["id"], row["text"])
    return rows
