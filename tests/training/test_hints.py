"""Hints in training: mixed groups, the loss on forced tokens, and the pitfalls of METHOD 6.3, each by its name."""

from __future__ import annotations

import math
import random
import statistics

import pytest
import torch

from runtime.stages import grpo
from tests.support import omni
from tests.support.hinted import CLIPS, TWO, drawn, generated, make, policy, shaken, texts
from tests.support.omni_grpo import log_probabilities

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

NAMES = ("format", "polarity", "score")
REPLACE_2, APPEND_2 = {"kind": "replace_k", "k": 2}, {"kind": "append", "k": 2}
SFT = {"mode": "sft", "coef": 0.3}
APART = {"polarity_reward_on_hinted": "exclude", "normalise": "joint"}


def bad(prompts, **_):
    """The first clip is hard, the second is not."""
    return [1.0 if clip == "toy-00" else 2.0 for clip in prompts]


def varied(prompts, completions, **_):
    return [
        1.0 * (clip == "toy-01") + len(text) / 100 for clip, text in zip(prompts, completions, strict=True)
    ]


def total(prompts, completions, **_):
    """Like `bad`, and within a group the longer the better."""
    return [b + len(t) / 1000 for b, t in zip(bad(prompts), completions, strict=True)]


# ---- the loss against its definition, in double precision


def slow(trainer, output, rewards):
    """METHOD 1.6, 1.7 and 6.4, a loop over answers: every one of them is known by its clip, text and hint."""
    spec, names = trainer.policy.spec, [f.__name__ for f in rewards]
    answers = []
    for i, (clip, text) in enumerate(zip(output["clips"], texts(trainer, output), strict=True)):
        earned = {name: f([clip], [text])[0] for name, f in zip(names, rewards, strict=True)}
        hinted = int(output["forced"][i]) > 0
        if hinted and spec.polarity_reward_on_hinted == "exclude":
            del earned["polarity"]
        answers.append((clip, hinted, sum(earned.values())))
    logps, refs = scored(trainer, output)
    used = [i for i in range(len(answers)) if trainer.update.rows[i].in_update]
    loss, tokens = 0.0, 0
    for i in used:
        mates = [answers[j][2] for j in used if mates_of(spec, answers[i], answers[j])]
        spread = statistics.stdev(mates) if len(mates) > 1 else math.nan
        advantage = (answers[i][2] - statistics.mean(mates)) / (spread + 1e-4) if len(mates) > 1 else 0.0
        # The loss alone does not show them: over a group they sum to zero.
        assert float(output["advantages"][i]) == pytest.approx(advantage, abs=1e-4)
        forced = int(output["forced"][i])
        begins = 0 if spec.forced_loss.mode == "policy_gradient" else forced
        length = int(output["completion_mask"][i].sum())
        terms = []
        for t in range(begins, length):
            gap = refs[i][t] - logps[i][t]
            terms.append(-(advantage - trainer.beta * (math.exp(gap) - gap - 1)))
        tokens += len(terms)
        loss += reduced(trainer, terms, len(used))
        if spec.forced_loss.mode == "sft" and forced:
            loss += spec.forced_loss.coef * -sum(logps[i][:forced]) / forced / len(used)
    return loss


def mates_of(spec, answer, other):
    apart = spec.normalise == "separate" and spec.group.kind != "replace_all"
    return answer[0] == other[0] and (not apart or answer[1] == other[1])


def reduced(trainer, terms, answers):
    if trainer.loss_type == "grpo":
        return sum(terms) / len(terms) / answers
    return sum(terms) / (answers * trainer.max_completion_length)  # dr_grpo


def scored(trainer, output):
    both = log_probabilities(trainer, output, trainer.model, trainer.ref_model)
    return [table.double().tolist() for table in both]


def random_hint(rng):
    group = rng.choice([{"kind": "replace_all"}, REPLACE_2, APPEND_2, {"kind": "append", "k": 3}])
    return {
        "hard_policy": rng.choice(["hint", "hint", "hint", "drop"]),
        "group": group,
        "normalise": rng.choice(["separate", "joint"]),
        "polarity_reward_on_hinted": rng.choice(["keep", "exclude"]),
        "forced_loss": rng.choice([{"mode": "mask"}, {"mode": "policy_gradient"}, SFT]),
        "if_still_bad": rng.choice(["keep_hinted", "keep_unhinted", "skip"]),
    }


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo"])
def test_masked_and_forced_loss_are_their_definitions_in_random_cases(tmp_path, loss_type):
    rng = random.Random(loss_type)
    trainer = shaken(
        make(tmp_path, rewards=[drawn(n, 0, [0.0]) for n in NAMES], hint={}, loss_type=loss_type)
    )
    seen = set()
    for case in range(14):
        trainer.policy = policy(random_hint(rng), trainer.reader, trainer._tokenizer)
        # Half of the groups are hard, and half of those still are with the hint.
        rewards = [drawn("format", case, [0.0, 1.0]), drawn("polarity", case, [0.0, 0.0, 1.0]),
                   drawn("score", case, [0.0, 0.3, 0.9])]  # fmt: skip
        trainer.reward_funcs = rewards
        output = generated(trainer, seed=case)
        expected = slow(trainer, output, rewards)
        assert trainer._compute_loss(trainer.model, output).item() == pytest.approx(
            expected, rel=1e-4, abs=1e-6
        )
        seen |= {(own.answer.hint > 0, own.in_update, own.blank) for own in trainer.update.rows}
    assert {(False, True, False), (True, True, False), (False, False, False), (False, False, True)} <= seen


def test_micro_batches_give_the_gradient_of_one(tmp_path):
    """Also where answers joined, and rows were added that are none."""
    hint = {"group": {"kind": "append", "k": 3}, "forced_loss": SFT, **APART}
    found = []
    for passes in (1, 2):
        trainer = make(tmp_path, rewards=[total], hint=hint, per_device_train_batch_size=8 // passes,
                       gradient_accumulation_steps=passes, steps_per_generation=passes)  # fmt: skip
        shaken(trainer).current_gradient_accumulation_steps = passes
        torch.manual_seed(0)
        trainer.model.train()
        for step in range(passes):
            trainer._step = step
            trainer._compute_loss(
                trainer.model, trainer._prepare_inputs([{"prompt": clip} for clip in CLIPS])
            ).backward()
        assert len(trainer.update.rows) == 12
        found.append({n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        assert torch.allclose(gradient, found[1][name], atol=2e-6), name


# ---- what a hint teaches


def pull_on_hint(tmp_path, hint, **arguments):
    """How the loss pulls at the log-probability of each forced token, summed over answers: all have the same hint."""
    trainer = make(tmp_path, rewards=[total], hint=hint, **arguments)
    output = generated(trainer)
    scoring, seen = trainer._get_per_token_logps_and_entropies, []

    def score(*given, **options):
        result = scoring(*given, **options)
        result[0].retain_grad()
        seen.append(result[0])
        return result

    trainer._get_per_token_logps_and_entropies = score
    trainer._compute_loss(trainer.model, output).backward()
    n = int(output["forced"].max())
    hinted = output["forced"] > 0
    return seen[0].grad[hinted][:, :n].sum(dim=0)


@pytest.mark.parametrize("mode", ["mask", "policy_gradient"])
def test_a_group_that_is_hinted_whole_teaches_no_polarity_masked_or_not(tmp_path, mode):
    assert pull_on_hint(tmp_path, {"forced_loss": {"mode": mode}}, loss_type="dapo").abs().max() < 1e-6


def test_trained_tokens_of_half_a_group_teach_the_polarity_and_masked_ones_do_not(tmp_path):
    mixed = {"group": REPLACE_2, **APART}
    # Hinted answers are longer, and `total` likes that: descending the loss raises what forced them.
    assert (pull_on_hint(tmp_path, {**mixed, "forced_loss": "policy_gradient"}) < -1e-3).all()
    assert (pull_on_hint(tmp_path, mixed) == 0).all()


def test_cross_entropy_of_the_hint_teaches_the_polarity_of_any_group(tmp_path):
    for group in ({"kind": "replace_all"}, REPLACE_2):
        pull = pull_on_hint(tmp_path, {"group": group, "forced_loss": SFT, **APART})
        assert torch.allclose(pull, pull[0]), "each forced token alike"
        assert (pull < 0).all()


# ---- pitfalls (METHOD 6.3)


def test_pitfall_forced_tokens_have_no_part_in_loss_kl_length_clip_statistics_and_counts(tmp_path):
    trainer = shaken(make(tmp_path, rewards=[total], hint={}))
    output = generated(trainer)
    n = int(output["forced"][0])
    assert output["forced"].tolist() == [n] * 4 + [0] * 4
    assert not output["tool_mask"][:4, :n].any()
    mask = output["completion_mask"] * output["tool_mask"]
    assert output["num_items_in_batch"] == mask.sum()
    assert trainer._metrics["train"]["completions/mean_length"][-1] == pytest.approx(
        mask.sum(dim=1).float().mean()
    )
    assert trainer._metrics["train"]["length/hinted"][-1] <= trainer.max_completion_length
    refs = output["ref_per_token_logps"].clone()
    before = trainer._compute_loss(trainer.model, output)
    kl = trainer._metrics["train"]["kl"][-1]
    output["ref_per_token_logps"] = refs - 5 * (mask == 0)
    assert trainer._compute_loss(trainer.model, output) == before
    assert trainer._metrics["train"]["kl"][-1] == kl


def test_pitfall_polarity_is_a_constant_of_a_hinted_group_and_no_gift_in_a_mixed_one(tmp_path):
    def right(prompts, completions, **_):
        return [1.0 * text.startswith("<polarity>") for text in completions]

    right.__name__ = "polarity"
    rewards = [drawn("format", 0, [1.0]), right, drawn("score", 0, [0.0, 0.2, 0.9])]
    whole = {how: generated(make(tmp_path, rewards=rewards, hint={"polarity_reward_on_hinted": how}))
             for how in ("keep", "exclude")}  # fmt: skip
    assert torch.allclose(whole["keep"]["advantages"], whole["exclude"]["advantages"], atol=1e-4)
    trainer = make(tmp_path, rewards=rewards, hint={"group": REPLACE_2, **APART}, scale_rewards="none")
    advantages = generated(trainer)["advantages"][:4]
    scores = torch.tensor([own.rewards[2] for own in trainer.update.rows[:4]])
    assert torch.allclose(advantages, scores - scores.mean(), atol=1e-6), "only the score tells them apart"
    told = trainer._metrics["train"]
    assert (told["reward/polarity"], told["reward_hinted/polarity"]) == ([0.0], [1.0]), (
        "logged apart, as earned"
    )


def test_pitfall_answers_that_replace_others_are_scored_anew_and_generated_in_their_own_context(tmp_path):
    trainer = shaken(
        make(tmp_path, rewards=[total], hint={"group": REPLACE_2, **APART}, steps_per_generation=2)
    )
    output = generated(trainer)
    logps, refs = scored(trainer, output)
    mask = (output["completion_mask"] * output["tool_mask"]).bool()
    for known, computed in (("old_per_token_logps", logps), ("ref_per_token_logps", refs)):
        assert torch.allclose(
            output[known][mask], torch.tensor(computed, dtype=torch.float32)[mask], atol=1e-5
        )
    assert [ids[-1] for ids in output["prompt_ids"].tolist()] == [trainer.rows[0].prompt[-1]] * 8, (
        "no hint in a prompt"
    )


def test_pitfall_the_format_reward_sees_the_hint_and_max_new_tokens_does_not(tmp_path):
    trainer = make(
        tmp_path, rewards=[total], hint={"prefix_end": "after_think_open"}, max_completion_length=2
    )
    output = generated(trainer)
    assert all(
        text.startswith("<polarity>Negative</polarity>\n\n<think>\n") for text in texts(trainer, output)[:4]
    )
    assert int(output["completion_mask"][0].sum()) > int(output["forced"][0])
    assert [each.completion for each in trainer.sampled[0]] == texts(trainer, output)


def test_pitfall_what_is_still_hard_may_stay_unhinted_or_be_skipped(tmp_path):
    found = {}
    for how in ("keep_hinted", "keep_unhinted", "skip"):
        trainer = make(tmp_path, rewards=[bad], hint={"if_still_bad": how})
        output = generated(trainer)
        found[how] = output["forced"][:4].bool().tolist(), output["tool_mask"][:4].any().item()
        assert output["tool_mask"][4:].any(), "the other group is as it was"
    assert found == {
        "keep_hinted": ([True] * 4, True), "keep_unhinted": ([False] * 4, True), "skip": ([False] * 4, False),
    }  # fmt: skip


def test_pitfall_the_reward_of_hinted_answers_is_no_progress_and_logged_apart(tmp_path):
    trainer = make(tmp_path, rewards=[varied], hint={"group": APPEND_2, **APART})
    generated(trainer)
    told = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    own = trainer.update.rows
    first = [each.rewards[0] for each in own if not each.blank and not each.answer.hint]
    hinted = [each.rewards[0] for each in own if each.answer.hint]
    assert len(first) == 8
    assert len(hinted) == 4
    assert told["reward/unhinted"] == pytest.approx(statistics.mean(first))
    assert told["reward/hinted"] == pytest.approx(statistics.mean(hinted))
    assert told["reward/trained"] == pytest.approx(statistics.mean(first + hinted))


def test_joined_answers_are_listed_with_their_group(tmp_path):
    section = {"steps": 1, "batch": 2, "generations": 2, "max_new_tokens": 4,
               "hint": {"trigger": TWO, "group": APPEND_2, **APART}}  # fmt: skip
    ctx = omni.grpo_context(tmp_path, grpo=section)
    grpo.run(ctx)
    shown = omni.lines(ctx.out / "rollouts.jsonl")
    assert [row["hinted"] for row in shown] == [False, False, True, True]
    assert len({row["clip"] for row in shown}) == 1
