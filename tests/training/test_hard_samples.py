"""What happens to hard samples in training: hinted, kept or dropped, and the loss of what is left."""

from __future__ import annotations

import math

import pytest
import torch

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.sections import Dc
from runtime.text.chains import canonical_answer, hint_prefix
from runtime.training.hints.build_policy import assert_token_prefix
from tests.support import omni
from tests.support.hard import HINT, length_of_second_clip, make
from tests.support.hinted import texts
from tests.support.omni_grpo import CLIPS, generated, log_probabilities

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]


def test_hard_group_is_answered_again_after_the_hint_and_the_other_is_not(tmp_path):
    trainer = make(tmp_path, "hint")
    output = generated(trainer)
    forced = trainer._tokenizer.encode(HINT, add_special_tokens=False)
    n = len(forced)
    for i, clip in enumerate(CLIPS):
        length = int(output["completion_mask"][i].sum())
        ids, mask = output["completion_ids"][i].tolist(), output["tool_mask"][i].tolist()
        if clip == "toy-00":
            assert ids[:n] == forced
            assert mask[:length] == [0] * n + [1] * (length - n)
            assert 0 < length - n <= 6, "the longest answer counts generated tokens only"
        else:
            assert ids[:n] != forced
            assert mask[:length] == [1] * length
    (rollouts,) = trainer.sampled
    assert [each.hinted for each in rollouts] == [True, True, False, False]
    assert all(each.completion.startswith(HINT) for each in rollouts[:2])
    assert trainer._metrics["train"]["hint/groups"] == [0.5]
    assert trainer._metrics["train"]["reward/hinted"] == [0.0]
    plain = generated(make(tmp_path / "keep", "keep"))
    assert torch.equal(plain["completion_ids"][2:, :6], output["completion_ids"][2:, :6]), (
        "an easy group was changed"
    )


def test_kept_groups_stay_and_nothing_is_hinted(tmp_path):
    trainer = make(tmp_path, "keep")
    output = generated(trainer)
    assert output["tool_mask"][output["completion_mask"].bool()].all()
    assert trainer._metrics["train"]["hard/groups"] == [0.5]
    assert trainer._metrics["train"]["hint/groups"] == [0.0]
    assert "reward/hinted" not in trainer._metrics["train"]


def test_groups_may_be_kept_without_a_threshold(tmp_path):
    trainer = make(tmp_path, "keep", threshold=None)
    generated(trainer)
    assert "hard/groups" not in trainer._metrics["train"]


def slow_loss(trainer, output, kept):
    """METHOD 1.6 and 1.7 in double precision, a loop: rows in `kept`, tokens with `tool_mask`, ratio 1."""
    total = 0.0
    rewards = length_of_second_clip(CLIPS, texts(trainer, output))
    both = log_probabilities(trainer, output, trainer.model, trainer.ref_model)
    logps, refs = (table.double() for table in both)
    for i in kept:
        group = rewards[i - i % 2 : i - i % 2 + 2]
        mean = sum(group) / 2
        std = math.sqrt(sum((r - mean) ** 2 for r in group))  # unbiased: 2 - 1 in the denominator
        advantage = (rewards[i] - mean) / (std + 1e-4)
        tokens = (output["completion_mask"] * output["tool_mask"])[i].nonzero().flatten().tolist()
        terms = []
        for t in tokens:
            gap = (refs[i, t] - logps[i, t]).item()
            terms.append(-(advantage - trainer.beta * (math.exp(gap) - gap - 1)))
        total += sum(terms) / len(terms) / len(kept)
    return total


@pytest.mark.parametrize(
    ("policy", "kept"), [("keep", [0, 1, 2, 3]), ("hint", [0, 1, 2, 3]), ("drop", [2, 3])]
)
def test_loss_is_its_definition(tmp_path, policy, kept):
    trainer = make(tmp_path, policy)
    output = generated(trainer)
    with torch.no_grad():  # away from the reference, so that the KL divergence is not nothing
        for parameter in trainer.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    loss = trainer._compute_loss(trainer.model, output)
    assert loss.item() == pytest.approx(slow_loss(trainer, output, kept), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_dropped_groups_leave_no_gradient(tmp_path, loss_type):
    trainer = make(tmp_path, "drop", rewards=[lambda prompts, **_: [0.0] * len(prompts)], loss_type=loss_type)
    loss = trainer._compute_loss(trainer.model, generated(trainer))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in trainer.model.parameters())


@pytest.mark.parametrize("policy", ["hint", "keep", "drop"])
@pytest.mark.parametrize("scale", ["batch", "none"])
def test_dropped_groups_have_no_part_in_the_scale(tmp_path, policy, scale):
    trainer = make(tmp_path, policy, scale_rewards=scale)
    output = generated(trainer)
    rewards = torch.tensor(length_of_second_clip(CLIPS, texts(trainer, output))).view(2, 2)
    kept = rewards[1:] if policy == "drop" else rewards
    spread = kept.flatten().std() + 1e-4 if scale == "batch" else 1.0
    expected = torch.zeros(4)
    expected[-kept.numel() :] = ((kept - kept.mean(dim=1, keepdim=True)) / spread).flatten()
    assert torch.allclose(output["advantages"], expected, atol=1e-5)


@pytest.mark.parametrize("end", ["after_polarity", "after_think_open"])
@pytest.mark.parametrize("fmt", [omni.FMT, Dc()])
def test_hints_are_token_prefixes_of_answers(end, fmt):
    for polarity in ("negative", "neutral", "positive"):
        prefix = hint_prefix(fmt, polarity, end)
        rest = canonical_answer(fmt, polarity, "1. x", 0.5).removeprefix(prefix)
        assert_token_prefix(omni.student().tokenizer, prefix, rest)


def test_a_hint_that_ends_inside_a_token_is_refused():
    with pytest.raises(InvalidStageSpec, match="not a token prefix"):
        assert_token_prefix(omni.student().tokenizer, "the words are posi", "tive")
