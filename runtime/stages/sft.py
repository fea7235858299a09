"""The stage `sft`: fine-tune the base student on the kept chains, the cold start (paper, eq. 1; METHOD 1.1).

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
from runtime.models.thinker import freeze
from runtime.text.chains import AnyFormat, canonical_answer
from runtime.text.clips import read_jsonl
from runtime.training.metrics_callback import MetricsCallback
from runtime.training.select import BestValid
from runtime.training.train import OmniSFTTrainer, SFTConfig, train
from runtime.training.trainer_arguments import (
    assert_towers_on_all_ranks,
    report_out_of_memory,
    split_batch,
    trainer_arguments,
)
from runtime.training.tuner import adapters, save_trained, trains_towers, widen_to_float32

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
    widen_to_float32(sft.tuner, student.model, zero)

    reader = Reader.from_context(ctx, student.processor)
    assert_towers_on_all_ranks(
        zero, "sft", reader.clips.values(), towers_trained=trains_towers(sft.tuner, student.model)
    )
    examples = build_examples(ctx, reader)
    rows, passes = split_batch(sft.batch, ctx.world, ctx.stage.placement.micro_batch or kind.rows_trained)
    watch = MetricsCallback(ctx, METRICS, score="-loss")
    trainer = OmniSFTTrainer(
        model=student.model,
        processing_class=student.processor,
        train_dataset=Dataset.from_list(examples),
        data_collator=AnswerCollator(reader, student.tokenizer, sft.max_tokens or positions(spec)),
        callbacks=[watch],
        peft_config=adapters(sft.tuner, student.model),
        args=SFTConfig(
            **trainer_arguments(ctx, sft, student, rows=rows, passes=passes, half=kind.half(spec)),
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
    with report_out_of_memory("sft"):
        train(ctx, trainer, watch)
    selected = best.restore_best() if best else {}
    save_trained(trainer, student, ctx.out / "model")
    return {"examples": len(examples), "steps": trainer.state.global_step, **watch.last, **selected}


def longest_answer(fmt: AnyFormat) -> int:
    """Return the most tokens of an answer to a validation clip: those of evaluation, or of a number."""
    return NUMBER_TOKENS if isinstance(fmt, Direct) else Decoding().max_new_tokens


def build_examples(ctx: Context, reader: Reader) -> list[dict[str, str]]:
    """Return the targets as {"id", "text"}: the kept chains, or the labels of the training split."""
    fmt = ctx.format
    if isinstance(fmt, Direct):
        clips = [reader.clips[clip_id] for clip_id in reader.ids("train")]
        return [{"id": c.id, "text": canonical_answer(fmt, c.polarity, "", c.label)} for c in clips]
    chains = ctx.inputs["filter"] / "chains.jsonl"
    rows = [{"id": row["id"], "text": row["text"]} for row in read_jsonl(chains)]
    if not rows:
        raise InvalidData("the filters kept no chain to fine-tune on", hint="loosen the filters")
    for row in rows:
        if row["id"] not in reader.clips or reader.clips[row["id"]].split != "train":
            raise InvalidData(f"{chains}: `{row['id']}` is not a clip of the training split")
        reader.assert_plain(row["id"], row["text"])
    return rows
