"""Supervised fine-tuning: which tokens have a loss, what the loss is, and the stage."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from c2f_spec.errors import Diverged, InvalidData, InvalidStageSpec, OutOfMemory
from c2f_spec.spec.handoff import Placement
from runtime.models import MODELS
from runtime.models.batches import IGNORED, AnswerCollator, answer_tokens
from runtime.models.thinker import load
from runtime.stages import sft
from runtime.text.clips import write_jsonl
from runtime.training.metrics_callback import MetricsCallback
from runtime.training.train import SFTConfig
from runtime.training.trainer_arguments import report_out_of_memory, split_batch, warmup_steps
from tests.support import omni

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]


def examples():
    return omni.lines(omni.chains() / "chains.jsonl")


def test_loss_is_on_the_tokens_of_the_answer_and_on_nothing_else():
    tokenizer = omni.student().tokenizer
    some = examples()[:3]
    batch = AnswerCollator(omni.reader(), tokenizer, 4096)(some)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    for example, ids, labels, mask in zip(
        some, batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        prompt = list(omni.reader().row(example["id"]).prompt)
        length = int(mask.sum())
        for place, (token, label) in enumerate(zip(ids.tolist(), labels.tolist(), strict=True)):
            if place < len(prompt):
                assert (token, label) == (prompt[place], IGNORED)
            elif place < length:
                assert label == token
            else:
                assert (token, label) == (tokenizer.pad_token_id, IGNORED)
        assert mask.tolist() == [1] * length + [0] * (len(mask) - length)
        learned = [token for token in labels.tolist() if token != IGNORED]
        # Tags, chain, score and the end of the turn: decoded with special tokens, they are the target.
        assert tokenizer.decode(learned) == example["text"] + "<|im_end|>"
        assert learned[0] == tokenizer.convert_tokens_to_ids("<polarity>")
        assert learned[-1] == tokenizer.eos_token_id
    assert len({int(mask.sum()) for mask in batch["attention_mask"]}) > 1, (
        "no row was padded, so padding is untested"
    )


def test_first_loss_is_the_token_mean_over_the_whole_batch(tmp_path):
    """Eq. 1 of the paper, in double precision; four rows are one batch, whatever is accumulated."""
    ctx = omni.sft_context(tmp_path, sft={"steps": 1, "batch": 16})
    summary = sft.run(ctx)
    student = MODELS["tiny"].base(omni.SPEC, ctx.seed, None)
    batch = AnswerCollator(omni.reader(), student.tokenizer, 4096)(examples())
    labels = batch.pop("labels")[:, 1:]
    with torch.no_grad():
        logits = student.model.double()(
            **{k: v.double() if v.is_floating_point() else v for k, v in batch.items()}
        ).logits
    nats = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2).double(), labels, ignore_index=IGNORED, reduction="sum"
    )
    assert summary["loss"] == pytest.approx((nats / (labels != IGNORED).sum()).item(), rel=1e-5)


def test_stage_trains_and_leaves_a_model_and_its_metrics():
    out = omni.tuned()
    metrics = omni.lines(out / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2]
    assert metrics[0].keys() == {"step", *sft.METRICS.values()}
    before = MODELS["tiny"].base(omni.SPEC, 3, None).model.state_dict()
    after = load(out / "model").model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for tower in ("model.visual.", "model.audio_tower.", "model.language_model.", "lm_head."):
        assert any(name.startswith(tower) for name in changed), f"nothing of {tower} was trained"


def test_adapters_train_the_text_model_and_are_merged(tmp_path):
    tuner = {"kind": "lora", "rank": 4, "alpha": 8}
    section = {"steps": 2, "batch": 4, "learning_rate": 1e-2, "tuner": tuner}
    ctx = omni.sft_context(tmp_path, sft=section)
    sft.run(ctx)
    before = MODELS["tiny"].base(omni.SPEC, 3, None).model.state_dict()
    after = load(ctx.out / "model").model.state_dict()
    changed = {name.rsplit(".", 2)[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_same_seed_same_model(tmp_path):
    ctx = omni.sft_context(tmp_path)
    sft.run(ctx)
    for name in ("metrics.jsonl", "model/model.safetensors", "model/tokenizer.json"):
        assert (ctx.out / name).read_bytes() == (omni.tuned() / name).read_bytes(), name


def test_direct_targets_are_the_labels(tmp_path):
    ctx = omni.context(tmp_path, "sft", {"prepare": omni.prepared()}, format={"kind": "direct"})
    targets = sft.build_examples(ctx, omni.reader())
    assert targets[:3] == [
        {"id": "toy-00", "text": "-3.1"},
        {"id": "toy-01", "text": "2.4"},
        {"id": "toy-02", "text": "0.0"},
    ]
    assert len(targets) == 16


def test_chains_must_be_of_training_clips(tmp_path):
    for rows, message in (
        ([], "the filters kept no chain"),
        ([{"id": "toy-17", "text": "x"}], "toy-17"),
        ([{"id": "?", "text": "x"}], "not a clip"),
        ([{"id": "toy-00", "text": "1. so<|im_end|>"}], "chain has"),
    ):
        (tmp_path / "chains").mkdir(exist_ok=True)
        write_jsonl(tmp_path / "chains" / "chains.jsonl", rows)
        ctx = omni.context(
            tmp_path / message, "sft", {"prepare": omni.prepared(), "filter": tmp_path / "chains"}
        )
        with pytest.raises(InvalidData, match=message):
            sft.build_examples(ctx, omni.reader())


@pytest.mark.parametrize(
    ("batch", "world", "most", "expected"),
    [(16, 1, 64, (16, 1)), (32, 4, 2, (2, 4)), (12, 1, 8, (6, 2)), (7, 1, 4, (1, 7)), (128, 2, 64, (64, 1))],
)
def test_batch_is_shared_and_accumulated(batch, world, most, expected):
    rows, passes = split_batch(batch, world, most)
    assert (rows, passes) == expected
    assert rows * passes * world == batch


@pytest.mark.parametrize(("share", "steps"), [(0.0, 0), (0.05, 1), (0.5, 5), (1.0, 10)])
def test_warmup_is_a_share_of_the_steps(share, steps):
    machine = {"report_to": [], "use_cpu": True, "bf16": False, "activation_checkpointing": False}
    args = SFTConfig(warmup_steps=warmup_steps(share), **machine)
    assert args.get_warmup_steps(10) == steps


def test_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(InvalidStageSpec, match="10 rows is not a multiple of 4"):
        split_batch(10, 4, 2)


def test_accumulated_batch_gives_the_loss_of_the_whole(tmp_path, monkeypatch):
    def first(folder):
        return sft.run(omni.sft_context(tmp_path / folder, sft={"steps": 1, "batch": 8}))

    whole = first("whole")
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], rows_trained=2))
    parts = first("parts")
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert parts["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)


class State:
    global_step, max_steps = 4, 9


@pytest.mark.parametrize(("name", "value"), [("loss", math.nan), ("loss", math.inf), ("grad_norm", math.nan)])
def test_a_loss_that_is_not_finite_ends_the_stage(tmp_path, name, value):
    watch = MetricsCallback(omni.context(tmp_path, "sft", {}), sft.METRICS, "-loss")
    with pytest.raises(Diverged, match=f"`{name}` is .* at step 4"):
        watch.on_log(None, State, None, {"loss": 1.0, "grad_norm": 1.0, name: value})


def test_divergence_reaches_the_caller_of_the_stage(tmp_path):
    section = {"steps": 3, "batch": 2, "learning_rate": 1e30, "warmup": 0.0}
    ctx = omni.sft_context(tmp_path, sft=section)
    with pytest.raises(Diverged):
        sft.run(ctx)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_micro_batch_is_accumulated_to_the_same_batch(tmp_path, rows):
    ctx = omni.sft_context(tmp_path)
    ctx.stage = ctx.stage.model_copy(update={"placement": Placement(micro_batch=rows)})
    sft.run(ctx)
    whole = omni.sft_context(tmp_path / "w")
    sft.run(whole)
    losses = [[row["loss"] for row in omni.lines(each.out / "metrics.jsonl")] for each in (ctx, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_metrics_have_our_names(tmp_path):
    ctx = omni.context(tmp_path, "sft", {})
    watch = MetricsCallback(ctx, sft.METRICS, "-loss")
    logs = {"loss": "1.5", "grad_norm": 1.0, "mean_token_accuracy": 0.25, "epoch": 0.1}
    watch.on_log(None, State, None, logs)
    watch.on_log(None, State, None, {"train_runtime": 3.0})
    row = {"step": 4, "loss": 1.5, "grad_norm": 1.0, "token_accuracy": 0.25}
    assert omni.lines(ctx.out / "metrics.jsonl") == [row]
    progress = json.loads((tmp_path / "store" / "work" / "sft" / ("0" * 64) / "progress.json").read_text())
    assert (progress["done"], progress["total"]) == (4, 9)


def test_out_of_memory_names_what_to_change():
    with pytest.raises(OutOfMemory, match=r"`media\.max_pixels`") as caught, report_out_of_memory("grpo"):
        raise torch.OutOfMemoryError("tried to allocate 2 GiB\nmore")
    assert "grpo.max_new_tokens" in str(caught.value)


def test_answers_end_with_the_end_of_the_turn():
    tokenizer = omni.student().tokenizer
    assert answer_tokens(tokenizer, "0.6")[-1] == tokenizer.eos_token_id
