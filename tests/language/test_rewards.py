"""Every rule counts the rewards of the model: a new field of `Rewards` needs no other edit."""

from __future__ import annotations

import pytest
from pydantic import Field, NonNegativeFloat

from c2f_spec.language.checks import check
from c2f_spec.language.document import load_document
from c2f_spec.language.parse import parse
from c2f_spec.spec.base import SpecModel
from c2f_spec.spec.grpo import FormatReward, PolarityReward, Rewards, ScoreReward

SPEC = b"c2f: v1\nname: x\ndata: {train: icwsm2014-movie}\nstudent: tiny\ngrpo: {}\n"


class BrevityReward(SpecModel):
    weight: NonNegativeFloat = 1.0


class MoreRewards(Rewards):
    brevity: BrevityReward | None = Field(default=None, description="Short answers.")


def codes(rewards: MoreRewards, **hint) -> set[str]:
    experiment, _ = parse(load_document(SPEC, "s.yaml"))
    grpo = experiment.grpo.model_copy(
        update={"rewards": rewards, "hint": experiment.grpo.hint.model_copy(update=hint)}
    )
    return {problem.code for problem in check(experiment.model_copy(update={"grpo": grpo}))}


def with_threshold(value: float | None) -> dict:
    experiment, _ = parse(load_document(SPEC, "s.yaml"))
    return {"trigger": experiment.grpo.hint.trigger.model_copy(update={"threshold": value})}


BREVITY = MoreRewards(brevity=BrevityReward())
ALL = {"format": FormatReward(), "polarity": PolarityReward(), "score": ScoreReward()}


def test_brevity_alone_is_a_reward():
    assert codes(BREVITY, hard_policy="keep") == set()
    assert codes(MoreRewards(brevity=BrevityReward(weight=0)), hard_policy="keep") == {"C2F312"}


def test_brevity_counts_in_the_total_that_a_threshold_is_compared_with():
    assert "C2F329" not in codes(BREVITY, **with_threshold(1.0))
    assert "C2F329" in codes(BREVITY, **with_threshold(1.5))


def test_hinted_answers_can_earn_brevity():
    polarity = MoreRewards(polarity=PolarityReward())
    both = MoreRewards(polarity=PolarityReward(), brevity=BrevityReward())
    exclude = {"polarity_reward_on_hinted": "exclude", **with_threshold(0.5)}
    assert "C2F353" in codes(polarity, **exclude)
    assert "C2F353" not in codes(both, **exclude)


@pytest.mark.parametrize(
    ("weight", "threshold", "expected"),
    [(0.5, None, set()), (0.5, 1.2, {"C2F315"}), (0.5, 1.6, set()), (1.0, None, {"C2F315"})],
)
def test_a_threshold_lies_above_what_wrong_answers_earn_by_brevity(weight, threshold, expected):
    rewards = MoreRewards(**ALL, brevity=BrevityReward(weight=weight))
    assert rewards.threshold_range() == (1 + weight, 2)
    assert codes(rewards, **with_threshold(threshold)) == expected
