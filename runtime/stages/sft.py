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
from runtime.text.chains import canonical_answer
from runtime.text.clips import read_jsonl
from runtime.training.metrics_callback import MetricsCallback
from runtime.training.select import train_and_save
from runtime.training.train import OmniSFTTrainer, SFTConfig
from runtime.training.trainer_arguments import split_batch, trainer_arguments
from runtime.training.tuner import adapters, freeze_and_read

if TYPE_CHECKING:
    from runtime.models.rows import Reader
    from runtime.process.context import Context

NUMBER_TOKENS = 16
"""Most tokens of an answer that is a number alone."""
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
    reader = freeze_and_read(ctx, sft.tuner, student, kind.frozen(spec))
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
    longest = NUMBER_TOKENS if isinstance(ctx.format, Direct) else Decoding().max_new_tokens
    summary = train_and_save(
        ctx, trainer, watch, reader, student, sft.select, rows=kind.rows_generated, max_new_tokens=longest
    )
    return {"examples": len(examples), **summary}


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
