"""Without media and without hints, ours is TRL's own trainer, to the bit; and so it is where no hint is ever given."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest
import torch

from runtime.training.grpo_trainer import GRPOTrainer
from runtime.training.hints.trainer import HintGRPOTrainer
from tests.support import omni, text_policy

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

CASES = {
    "plain": {},
    "two updates": {
        "num_iterations": 2,
        "loss_type": "dapo",
        "scale_rewards": "batch",
        "use_bias_correction_kl": False,
    },
}
KINDS = {
    "trl": (GRPOTrainer, {}),
    "hints off": (HintGRPOTrainer, text_policy.ours(hard_policy="keep")),
    "never triggered": (HintGRPOTrainer, text_policy.ours(trigger={"kind": "all_below", "threshold": 0.0})),
}


@functools.cache
def trained(kind, case):
    trainer, extra = KINDS[kind]
    with tempfile.TemporaryDirectory() as out:
        return text_policy.trained(text_policy.trainer(Path(out), trainer, extra=extra, **CASES[case]))


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        ("hints off", "plain"),
        ("never triggered", "plain"),
        ("never triggered", "two updates"),
    ],
)
def test_twenty_steps_are_those_of_trl(kind, case):
    (losses, weights), (expected, their_weights) = trained(kind, case), trained("trl", case)
    assert len(losses) == 20
    assert losses == expected
    assert weights.keys() == their_weights.keys()
    assert all(torch.equal(weights[name], their_weights[name]) for name in weights)


def test_twenty_steps_change_the_weights(tmp_path):
    before, after = text_policy.trainer(tmp_path).model.state_dict(), trained("trl", "plain")[1]
    assert all(not torch.equal(before[name], after[name]) for name in before if "layernorm" not in name)
