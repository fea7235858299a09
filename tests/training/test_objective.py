"""The objective against METHOD 1.7, a loop over tokens in double precision, over random cases."""

from __future__ import annotations

import functools
import math
import random
import tempfile
from pathlib import Path

import pytest
import torch

from runtime.training.grpo_trainer import OmniGRPOTrainer
from tests.support import omni, text_policy
from tests.support.omni_grpo import sequences

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

LONGEST = 9


@functools.cache
def shared():
    """One trainer for all cases: only its fields of the loss differ. Its model is away from every reference."""
    out = tempfile.mkdtemp(dir=text_policy.ROOT.name)
    made = text_policy.trainer(
        Path(out),
        OmniGRPOTrainer,
        extra=text_policy.ours(),
        max_completion_length=LONGEST,
        use_bias_correction_kl=False,
    )
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    return made, text_policy.loaded(text_policy.folder(32, 2)).double()


def drawn(seed):
    """A batch as TRL hands it to the loss: prompts padded on the left, answers on the right, some tokens forced."""
    draw, tokens = random.Random(seed), torch.Generator().manual_seed(seed)
    prompts = draw.sample(text_policy.PROMPTS, draw.randint(2, 5))
    rows = [text_policy.TextReader(text_policy.tokenizer()).row(prompt) for prompt in prompts]
    longest = max(len(row.prompt) for row in rows)
    lengths = [draw.randint(1, LONGEST) for _ in rows]
    forced = [draw.choice([0, 0, n // 2, n - 1]) for n in lengths]
    shape = (len(rows), max(lengths))
    place = torch.arange(shape[1])
    batch = {
        "prompt_ids": torch.tensor([[0] * (longest - len(r.prompt)) + list(r.prompt) for r in rows]),
        "prompt_mask": torch.tensor([[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in rows]),
        "completion_ids": torch.randint(5, len(text_policy.tokenizer()), shape, generator=tokens),
        "completion_mask": (place < torch.tensor(lengths)[:, None]).long(),
        "tool_mask": (place >= torch.tensor(forced)[:, None]).long(),
        "advantages": torch.randn(shape[0], generator=tokens),
        "clips": prompts,
    }
    batch["num_items_in_batch"] = (batch["completion_mask"] * batch["tool_mask"]).sum()
    return batch, torch.randn(shape, generator=tokens), torch.randn(shape, generator=tokens)


def log_probabilities(model, batch, gradient=False):
    ids, mask = sequences(batch)
    with torch.set_grad_enabled(gradient):
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    logps = logits.log_softmax(dim=-1).gather(2, ids[:, 1:, None]).squeeze(2)
    return logps[:, -batch["completion_ids"].shape[1] :]


def slow(logps, batch, beta, low, high, loss_type):
    """-J of METHOD 1.7, and the mean KL divergence; old and reference policy as in `batch`."""
    answers, divergences = [], []
    for i in range(len(logps)):
        terms = []
        for t in range(len(logps[i])):
            if not (batch["completion_mask"][i][t] and batch["tool_mask"][i][t]):
                continue
            policy, advantage = logps[i][t].item(), batch["advantages"][i].item()
            old = batch["old_per_token_logps"][i][t].item() if "old_per_token_logps" in batch else policy
            ratio = math.exp(policy - old)
            clipped = min(max(ratio, 1 - low), 1 + high)
            term = min(ratio * advantage, clipped * advantage)
            if beta:
                gap = batch["ref_per_token_logps"][i][t].item() - policy
                divergences.append(math.exp(gap) - gap - 1)
                term -= beta * divergences[-1]
            terms.append(term)
        answers.append(terms)
    every = [term for terms in answers for term in terms]
    if loss_type == "grpo":  # the mean over answers of the mean over their tokens
        value = sum(sum(terms) / len(terms) for terms in answers) / len(answers)
    else:  # all tokens alike: by their number, or by what their number could be at most
        value = sum(every) / (len(every) if loss_type == "dapo" else len(answers) * LONGEST)
    return -value, sum(divergences) / len(divergences) if divergences else None


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize(("beta", "low", "high"), [(0.1, 0.2, 0.2), (0.0, 0.2, 0.28), (0.4, 0.05, 0.05)])
def test_loss_is_its_definition(loss_type, updates, beta, low, high):
    trainer, exact = shared()
    trainer.beta, trainer.epsilon_low, trainer.epsilon_high, trainer.loss_type = beta, low, high, loss_type
    for seed in range(4):
        batch, other, third = drawn(seed)
        logps = log_probabilities(exact, batch)
        batch["ref_per_token_logps"] = (logps + 0.5 * other).float()
        if updates > 1:
            batch["old_per_token_logps"] = (logps + 0.3 * third).float()
        loss = trainer._compute_loss(trainer.model, batch).item()
        expected, divergence = slow(logps, batch, beta, low, high, loss_type)
        assert loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
        if beta:
            assert trainer._metrics["train"]["kl"][-1] == pytest.approx(divergence, rel=1e-4)


@pytest.mark.parametrize("kl", ["estimate", "corrected"])
@pytest.mark.parametrize("updates", [1, 2])
def test_gradient_is_its_definition(kl, updates):
    """Of `grpo`, in double precision by the formula; `corrected` has the ratio before the divergence."""
    trainer, exact = shared()
    trainer.beta, trainer.epsilon_low, trainer.epsilon_high, trainer.loss_type = 0.1, 0.2, 0.2, "grpo"
    trainer.args.use_bias_correction_kl = kl == "corrected"
    batch, other, third = drawn(5)
    logps = log_probabilities(exact, batch)
    batch["ref_per_token_logps"] = (logps + 0.5 * other).float()
    old = (logps + 0.3 * third).float().double() if updates > 1 else logps
    if updates > 1:
        batch["old_per_token_logps"] = old.float()
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()

    exact.zero_grad()
    with torch.enable_grad():
        policy = log_probabilities(exact, batch, gradient=True)
        ratio, advantage = (policy - old).exp(), batch["advantages"].double()[:, None]
        gap = batch["ref_per_token_logps"].double() - policy
        divergence = (gap.exp() - gap - 1) * (ratio if kl == "corrected" else 1)
        term = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage) - 0.1 * divergence
        mask = (batch["completion_mask"] * batch["tool_mask"]).double()
        (-((term * mask).sum(1) / mask.sum(1)).mean()).backward()
    trainer.args.use_bias_correction_kl = False
    for (name, ours), theirs in zip(trainer.model.named_parameters(), exact.parameters(), strict=True):
        assert torch.allclose(ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-6), name


def test_forced_tokens_and_padding_have_no_gradient():
    """What stands there may be anything at all; only what comes after it may see the forced tokens."""
    trainer, _ = shared()
    trainer.beta, trainer.epsilon_low, trainer.epsilon_high, trainer.loss_type = 0.1, 0.2, 0.2, "grpo"
    batch, other, third = drawn(1)
    batch["ref_per_token_logps"], batch["old_per_token_logps"] = other, third
    loss = trainer._compute_loss(trainer.model, batch)
    learned = (batch["completion_mask"] * batch["tool_mask"]).bool()
    for name in ("ref_per_token_logps", "old_per_token_logps"):
        batch[name] = torch.where(learned, batch[name], batch[name] + 1.0)
    assert trainer._compute_loss(trainer.model, batch).item() == loss.item()
