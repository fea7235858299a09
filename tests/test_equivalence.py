"""Without media and without hints, ours is TRL's own trainer, to the bit."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest
import torch

from runtime.training.grpo import OmniGRPOTrainer
from tests import omni, text_policy

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

CASES = {
    "plain": {},
    "two updates": {"num_iterations": 2, "loss_type": "dapo", "scale_rewards": "batch"},
}


@functools.cache
def theirs(case):
    with tempfile.TemporaryDirectory() as out:
        return text_policy.trained(text_policy.trainer(Path(out), **CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_are_those_of_trl(tmp_path, case):
    ours = text_policy.trainer(
        tmp_path,
        OmniGRPOTrainer,
        extra={"reader": text_policy.TextReader(text_policy.tokenizer())},
        **CASES[case],
    )
    losses, weights = text_policy.trained(ours)
    expected, their_weights = theirs(case)
    assert len(losses) == 20
    assert losses == expected
    assert all(torch.equal(weights[name], their_weights[name]) for name in their_weights)
    fresh = text_policy.trainer(tmp_path).model.state_dict()
    assert any(not torch.equal(weights[name], fresh[name]) for name in fresh), "nothing was learned"
