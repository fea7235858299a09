"""The rewards, by their name in `grpo.rewards`. To add one, write one file of this package and one line here.

Its fields are a model in `c2f_spec/spec/grpo.py`. Nothing else in the runtime lists rewards.
"""

from runtime.rewards.format import reward as format_reward
from runtime.rewards.polarity import reward as polarity_reward
from runtime.rewards.score import reward as score_reward
from runtime.rewards.truth import Reward

REWARDS: dict[str, Reward] = {
    "format": format_reward,
    "polarity": polarity_reward,
    "score": score_reward,
}
