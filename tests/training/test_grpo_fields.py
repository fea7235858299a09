"""Fields of `grpo` and `sft` beside the hint policy: each does what its description says."""

from __future__ import annotations

import re

import pytest
import torch

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.grpo import Grpo
from c2f_spec.spec.sections import C2f, Dc, Lora
from runtime.models import MODELS
from runtime.models.rows import Reader
from runtime.stages import sft
from runtime.text.chains import canonical_answer, hint_prefix
from runtime.training.hints.build_policy import build_policy
from runtime.training.tuner import adapters
from tests.support import omni
from tests.support.omni_grpo import generated, log_probabilities, make, run

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

LORA = {"kind": "lora", "rank": 4, "alpha": 8}


def test_updates_are_made_on_one_generation(tmp_path):
    _, ctx = run(tmp_path, steps=4, updates=2)
    steps = [row["step"] for row in omni.lines(ctx.out / "rollouts.jsonl")]
    assert steps == [0, 0, 2, 2], "a generation serves two steps"
    rewarded = ["reward" in row or "reward/trained" in row for row in omni.lines(ctx.out / "metrics.jsonl")]
    assert rewarded == [True, False, True, False]


def test_old_policy_is_the_one_that_answered(tmp_path):
    """After a step the ratio is no longer 1, and what it is measured to stays."""
    trainer = make(tmp_path, num_iterations=2)
    output = generated(trainer)
    (before,) = log_probabilities(trainer, output, trainer.model)
    assert torch.allclose(output["old_per_token_logps"], before, atol=1e-6)


@pytest.mark.parametrize("tuner", [None, LORA])
def test_divergence_is_measured_to_the_reference_that_is_named(tmp_path, tuner):
    named = {"tuner": tuner} if tuner else {}
    _, ctx = run(tmp_path, reference="base", **named)
    assert omni.lines(ctx.out / "metrics.jsonl")[0]["kl"] > 1e-4


def test_reference_log_probabilities_are_those_of_the_base(tmp_path):
    base = MODELS["tiny"].base(omni.SPEC, 3, None).model
    trainer = make(tmp_path, reference=base)
    output = generated(trainer)
    expected, start = log_probabilities(trainer, output, base, trainer.model)
    assert torch.equal(output["ref_per_token_logps"], expected)
    assert not torch.allclose(expected, start, atol=1e-3)


def test_a_longer_prompt_is_an_error_and_never_cut(tmp_path):
    length = len(omni.reader().row("toy-00").prompt)
    message = rf"`toy-\d+`: a prompt of \d+ tokens, .* and the limit is {length - 5}"
    with pytest.raises(InvalidData, match=message) as caught:
        run(tmp_path / "short", max_prompt_tokens=length - 5)
    assert "`grpo.max_prompt_tokens`" in str(caught.value)


def test_without_a_bound_a_prompt_must_leave_room_for_the_answer(tmp_path):
    with pytest.raises(InvalidData, match="a prompt of"):
        run(tmp_path, max_new_tokens=4090)  # the tiny student has 4096 positions


def test_a_longer_example_is_an_error_and_never_cut(tmp_path):
    ctx = omni.sft_context(tmp_path, sft={"steps": 1, "batch": 4, "max_tokens": 50})
    message = r"an example of \d+ tokens, \d+ of them the prompt, and the limit is 50"
    with pytest.raises(InvalidData, match=message):
        sft.run(ctx)


def test_adapters_drop_out():
    assert adapters(Lora(**LORA, dropout=0.25), omni.student().model).lora_dropout == 0.25


def test_loss_is_that_of_the_answer_token_by_token(tmp_path):
    """Eq. 1, one forward pass a token, in double precision: each sees what stands before it and nothing else."""
    section = {"steps": 1, "batch": 16}
    ctx = omni.context(tmp_path, "sft", {"prepare": omni.prepared()}, format={"kind": "direct"}, sft=section)
    summary = sft.run(ctx)
    student = MODELS["tiny"].base(omni.SPEC, ctx.seed, None)
    model, tokenizer = student.model.double().eval(), student.tokenizer
    reader = Reader(omni.prepared(), student.processor, ctx.format, omni.MEDIA)
    total, count = 0.0, 0
    for clip_id in reader.ids("train"):
        row, clip = reader.row(clip_id), reader.clips[clip_id]
        media = {name: t.double() if t.is_floating_point() else t for name, t in row.media.items()}
        ids = list(row.prompt)
        answer = tokenizer.encode(
            canonical_answer(ctx.format, clip.polarity, "", clip.label), add_special_tokens=False
        )
        for token in [*answer, tokenizer.eos_token_id]:
            with torch.no_grad():
                logits = model(
                    input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(), **media
                ).logits
            total -= logits[0, -1].log_softmax(dim=-1)[token].item()
            count += 1
            ids.append(token)
    assert summary["loss"] == pytest.approx(total / count, rel=1e-5)


class Greedy:
    """A tokenizer that joins a line break to whatever follows it."""

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        return re.findall(r"\n+[^\n]?|[^\n]+", text)


@pytest.mark.parametrize(
    "fmt", [C2f(), C2f(polarity_words="zh"), Dc(), Dc(polarity_tag="p", think_tag="t", score_tag="s")]
)
@pytest.mark.parametrize("end", ["after_polarity", "after_think_open"])
def test_a_stage_starts_only_if_hints_are_token_prefixes(fmt, end):
    section = Grpo.model_validate({"batch": 4, "hint": {"trigger": {"threshold": 2.0}, "prefix_end": end}})
    made = build_policy(section, fmt, omni.reader(), omni.student().tokenizer, 0, frozenset())
    assert made.hint("toy-00") == hint_prefix(fmt, "negative", end)
    with pytest.raises(InvalidStageSpec, match="not a token prefix"):
        build_policy(section, fmt, omni.reader(), Greedy(), 0, frozenset())


def test_a_list_of_other_clips_is_refused():
    listed = {"trigger": {"kind": "offline_list", "digest": "0" * 64}}
    section = Grpo.model_validate({"batch": 2, "hint": listed})
    tokenizer = omni.student().tokenizer
    assert build_policy(section, omni.FMT, omni.reader(), tokenizer, 0, frozenset({"toy-00", "x"})).listed
    with pytest.raises(InvalidData, match="none of the 1 hard samples, such as `train-7`"):
        build_policy(section, omni.FMT, omni.reader(), tokenizer, 0, frozenset({"train-7"}))
