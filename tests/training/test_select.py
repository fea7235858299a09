"""The result is the candidate with the least MAE on the validation split, which nothing else sees."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import pytest
import torch

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.handoff import Placement
from runtime.models.batches import prompt_batch
from runtime.models.rows import Reader
from runtime.models.thinker import generation_config, load
from runtime.stages import grpo, sft
from runtime.text.chains import parse_answer
from runtime.text.clips import read_manifest, write_manifest
from runtime.training.select import candidate_steps
from tests.support import omni

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

DIRECT = {"format": {"kind": "direct"}}
SFT = {"steps": 7, "batch": 8, "learning_rate": 2e-2, "select": "best_valid"}


@functools.cache
def prepared() -> Path:
    """The toy data with four of its training clips as a validation split."""
    folder = Path(omni.ROOT.name) / "with-valid"
    shutil.copytree(omni.prepared(), folder)
    clips = list(read_manifest(folder))
    write_manifest(
        folder, [dataclasses.replace(c, split="valid") if i % 5 == 0 else c for i, c in enumerate(clips)]
    )
    return folder


def tuned(folder, **named):
    ctx = omni.context(folder, "sft", {"prepare": prepared()}, sft=SFT, **DIRECT, **named)
    return sft.run(ctx), ctx


def measured(ctx) -> float:
    """MAE of the stage's model on the validation clips, a loop: METHOD 4.5 for an answer without a score."""
    student = load(ctx.out / "model")
    student.model.eval()
    reader = Reader(prepared(), student.processor, ctx.format, omni.MEDIA)
    ids = reader.ids("valid")
    errors = []
    for clip_id in ids:
        batch = prompt_batch([reader.row(clip_id)], student.tokenizer.pad_token_id)
        with torch.no_grad():
            made = student.model.generate(
                **batch, generation_config=generation_config(student.tokenizer, 16, 0.0)
            )
        text = student.tokenizer.decode(made[0, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        label, found = reader.clips[clip_id].label, parse_answer(ctx.format, text).score
        found = (reader.low if label >= 0 else reader.high) if found is None else found
        errors.append(abs(found - label))
    return sum(errors) / len(errors)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(10, {*range(1, 11)}), (3, {1, 2, 3}), (1, {1}), (95, {10, 19, 29, 38, 48, 57, 67, 76, 86, 95})],
)
def test_candidates_are_the_ends_of_tenths(steps, expected):
    assert candidate_steps(steps) == expected


def test_least_error_on_the_validation_split_is_the_result(tmp_path):
    summary, ctx = tuned(tmp_path / "first")
    found = {r["step"]: r["valid/mae"] for r in omni.lines(ctx.out / "metrics.jsonl") if "valid/mae" in r}
    assert sorted(found) == sorted(candidate_steps(7))
    assert len(set(found.values())) > 1, "all candidates are alike, so nothing is tested"
    assert summary["valid_mae"] == min(found.values())
    assert summary["selected_step"] == min(found, key=lambda step: (found[step], step))
    assert measured(ctx) == pytest.approx(summary["valid_mae"], abs=1e-6)
    # Another attempt finds what the one before stored, and ends with the same.
    again, second = tuned(tmp_path / "second", store=tmp_path / "first" / "store")
    assert again["selected_step"] == summary["selected_step"]
    model = "model/model.safetensors"
    assert (second.out / model).read_bytes() == (ctx.out / model).read_bytes()


def test_of_equals_the_earlier_is_the_result(tmp_path):
    """Answers too short for a score all cost the same."""
    made = {}
    for steps, select in ((3, "best_valid"), (1, "last")):
        section = {"steps": steps, "batch": 2, "generations": 2, "learning_rate": 1e-2, "max_new_tokens": 3,
                   "schedule": "constant", "warmup": 0.0, "select": select, "hint": {"hard_policy": "keep"}}  # fmt: skip
        ctx = omni.context(
            tmp_path / select, "grpo", {"prepare": prepared(), "start": omni.tuned()}, grpo=section
        )
        made[select] = grpo.run(ctx)
        made[select]["weights"] = load(ctx.out / "model").model.state_dict()
    assert made["best_valid"]["selected_step"] == 1
    one, other = made["best_valid"]["weights"], made["last"]["weights"]
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_set_without_the_split_cannot_be_selected_by(tmp_path):
    ctx = omni.context(tmp_path, "sft", {"prepare": omni.prepared()}, sft=SFT, **DIRECT)
    with pytest.raises(InvalidData, match="no clips in the split `valid`"):
        sft.run(ctx)


def test_whole_weights_are_needed(tmp_path):
    from runtime.training.select import BestValid

    ctx = omni.context(tmp_path, "sft", {"prepare": prepared()}, placement=Placement(zero="3"))
    ctx.world = 2
    with pytest.raises(InvalidStageSpec, match="ZeRO 3"):
        BestValid(ctx, None, omni.reader(), omni.student().tokenizer, rows=2, max_new_tokens=4)
