"""The rewards, by the name under which a spec switches them on. One small file each, one line here."""

from runtime.rewards.format import reward as format_reward
from runtime.rewards.polarity import reward as polarity_reward
from runtime.rewards.score import reward as score_reward
from runtime.rewards.truth import Reward

REWARDS: dict[str, Reward] = {
    "format": format_reward,
    "polarity": polarity_reward,
    "score": score_reward,
}
