"""vLLM's log-probabilities differ from the policy's own: TRL weights each answer by how much, against the definition.

    w = exp(sum over the drawn tokens of (policy's - vLLM's)), and 0 where it is above `vllm_importance_sampling_clip_max`
    loss = mean over answers of the mean over drawn tokens of (-w A + beta KL)      (METHOD 1.7, ratio 1 on-policy)

In double precision, a loop over answers. tests/support/fake_vllm.py answers, from logits of half precision.
"""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace

import pytest
import torch

from runtime.generation.vllm_requests import Sampling
from runtime.generation.vllm_rollout import PolicyOnVllm
from tests.support import fake_vllm, hinted, omni, omni_grpo

pytestmark = [pytest.mark.filterwarnings(noise) for noise in omni.NOISE]


SAMPLING = Sampling(max_tokens=6, temperature=1.0, top_p=1.0, top_k=0)


def by_definition(trainer, output, most):
    """Weights and loss of a batch of which every token but those of a hint was drawn."""
    both = omni_grpo.log_probabilities(trainer, output, trainer.model, trainer.ref_model)
    own, reference, sampled = (
        table.double().tolist() for table in (*both, output["sampling_per_token_logps"])
    )
    lengths = output["completion_mask"].sum(dim=1).tolist()
    forced = output["forced"].tolist() if "forced" in output else [0] * len(lengths)
    weights, losses = [], []
    for i, length in enumerate(lengths):
        drawn = range(forced[i], length)
        weight = math.exp(sum(own[i][t] - sampled[i][t] for t in drawn))
        weights.append(weight if weight <= most else 0.0)
        gaps = [reference[i][t] - own[i][t] for t in drawn]
        kl = [math.exp(gap) - gap - 1 for gap in gaps]
        losses.append(
            sum(trainer.beta * each - weights[-1] * float(output["advantages"][i]) for each in kl) / len(kl)
        )
    return weights, sum(losses) / len(losses)


@pytest.mark.parametrize("hints", [False, True])
def test_answers_weigh_as_much_as_the_policy_finds_them_likelier(monkeypatch, tmp_path, hints):
    fake_vllm.installed(monkeypatch)
    options = {"engine": omni_grpo.engine(tmp_path, SAMPLING), "use_bias_correction_kl": False}
    rewards = [hinted.drawn("format", 1, [0.0, 0.5, 1.0])]
    hint = {"group": {"kind": "replace_k", "k": 2}}
    if hints:
        trainer = hinted.shaken(hinted.make(tmp_path, rewards=rewards, hint=hint, **options))
    else:
        trainer = hinted.shaken(omni_grpo.make(tmp_path, rewards=rewards, **options))
    most = trainer.vllm_importance_sampling_clip_max
    for lowered in (False, True):
        output = (hinted if hints else omni_grpo).generated(trainer)
        assert not hints or int((output["forced"] > 0).sum()) == 4
        weights, loss = by_definition(trainer, output, most)
        assert output["importance_sampling_ratio"].squeeze(1).tolist() == pytest.approx(weights, rel=1e-5)
        assert any(abs(weight - 1) > 1e-4 for weight in weights)
        assert (0.0 in weights) == lowered
        found = trainer._compute_loss(trainer.model, output)
        assert found.item() == pytest.approx(loss, rel=1e-4, abs=1e-7)
        # Once more, so that half of the answers weigh too much.
        most = trainer.vllm_importance_sampling_clip_max = statistics.median(weights)


def test_ranks_that_share_a_model_find_their_own_answers(monkeypatch):
    """Of a hinted round each rank may have brought another number of prompts."""
    counts = [4, 1, 3]

    def gathered(into, own, group):
        assert (own, group) == (counts[1], "tp")
        into[:] = counts

    monkeypatch.setattr(torch.distributed, "all_gather_object", gathered)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda group: 1)
    rank = SimpleNamespace(tensor_parallel_size=3, tp_group="tp")
    assert PolicyOnVllm._first_index(rank, 1) == 4
