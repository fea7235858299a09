"""Which hard samples are hinted, and when: warm-up, stop, dropout and cap (METHOD 6.2, 6.3).

Nothing here draws from a generator: chance is a digest of seed, step and sample. All ranks decide alike, and a run that
goes on decides what it would have decided.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from c2f_spec.errors import InvalidStageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.spec.hint import Hint
    from runtime.text.clips import Polarity
    from runtime.training.hints.answer_facts import Facts


@dataclass(frozen=True, slots=True)
class Policy:
    """The spec's, with what it means for the clips of a stage."""

    spec: Hint
    hint: Callable[[str], str]
    """Clip id -> start of the answer."""
    facts: Callable[[str, str], Facts]
    """Clip id, answer -> what is true of it."""
    polarity: Callable[[str], Polarity]
    """Clip id -> the label's."""
    seed: int
    listed: frozenset[str] = frozenset()
    """Ids of an offline list."""


def most(spec: Hint, groups: int) -> int:
    """Groups of a batch that may be hinted. Raises `InvalidStageSpec` if none may."""
    number = floor(spec.max_hinted_fraction * groups + 1e-9)
    if number == 0:
        raise InvalidStageSpec(
            f"`grpo.hint.max_hinted_fraction` of {groups} clips is less than one clip: nothing is ever hinted",
            hint=f"raise it to {1 / groups:.3g} or more, or raise `grpo.batch`",
        )
    return number


def able(policy: Policy, clips: Sequence[str], *, step: int, steps: int) -> list[int]:
    """The groups of `clips` that may be hinted in `step` of `steps`, if they are hard."""
    spec = policy.spec
    stopped = spec.stop_after < 1 and step >= spec.stop_after * steps
    if spec.hard_policy != "hint" or step < spec.warmup_steps or stopped:
        return []
    return [i for i, clip in enumerate(clips) if chance(policy.seed, "dropout", step, clip) >= spec.dropout]


def chosen(
    policy: Policy,
    clips: Sequence[str],
    hard: Sequence[bool],
    before: Sequence[int],
    *,
    step: int,
    steps: int,
) -> list[bool]:
    """Which groups are hinted in `step` of `steps`; `before` counts how often each sample was hinted.

    If more are hard than may be hinted, those come first that were hinted least: a sample with a wrong label is hard for
    ever, and would be hinted in place of others.
    """
    found = [i for i in able(policy, clips, step=step, steps=steps) if hard[i]]
    found.sort(key=lambda i: (before[i], chance(policy.seed, "order", step, clips[i])))
    given = set(found[: most(policy.spec, len(clips))])
    return [i in given for i in range(len(clips))]


def chance(seed: int, what: str, step: int, clip: str) -> float:
    """A number in [0, 1) that looks random and is always the same."""
    digest = hashlib.blake2b(f"{seed}/{what}/{step}/{clip}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
