"""The rewards, by their name in `grpo.rewards`: the function `reward` of `runtime/rewards/<name>.py`.

To add one, write that file, and its field in `Rewards` of `c2f_spec/spec/grpo.py`. Nothing else lists rewards.
"""

from importlib import import_module

from c2f_spec.spec.grpo import REWARD_NAMES
from runtime.rewards.truth import Reward

REWARDS: dict[str, Reward] = {name: import_module(f"runtime.rewards.{name}").reward for name in REWARD_NAMES}
