"""Rewards and facts of a step's answers by group, and their metrics under the names in metrics.jsonl. Figure 3 shows these.

The step computes facts after each generation; triggers read them. Facts do not depend on which rewards the spec has.
First answers are those that the policy samples without a hint, whatever the policy of hints. Rewards with and without a
hint are never mixed.

    reward/unhinted, reward/<name>           mean total, and mean reward by name, of first answers
    reward/hinted, reward_hinted/<name>      the same for hinted answers; absent in a step without any
    reward/trained                           mean total of the answers that the update used, as it used them
    hard/groups, hint/groups                 share of groups that are hard, and hinted
    hint/negative, hint/neutral, …           share hinted of the groups of a polarity; absent where it has none
    polarity/unhinted                        share of first answers with the right polarity
    polarity/negative, polarity/neutral, …   the same for the clips of a polarity
    polarity/hard                            the same for clips that were hard in an earlier visit
    polarity/hard_trailing                   the same over the last 20 steps: it rises if hints teach
    zero_variance                            share of trained groups whose answers all have the same reward
    agreement/unhinted, agreement/hinted     share whose score has the polarity of its tag, of answers with both
    length/unhinted, length/hinted           mean generated tokens, the hint not counted
    cut/unhinted, cut/hinted                 share that did not end by itself

Beside these the stage logs loss, kl (nats a token, to the reference), grad_norm (before clipping) and learning_rate.
Tokens a second and peak memory differ from run to run, and this file must not: they are in the stage's progress while
it runs, and in its record and in tracking (`measured.tokens_per_second`, `measured.peak_rss_bytes`, `measured.peak_gpu_bytes`).

Shapes: N answers of all ranks, K rewards, F facts, M groups, G answers of a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from c2f_spec.spec.formats import POLARITIES


class AnswerFacts(NamedTuple):
    """The facts of one answer."""

    format: float
    """1 if the answer is well-formed, else 0."""
    polarity: float
    """1 if its polarity is the label's, parsed leniently, else 0."""
    agrees: float
    """1 if its score has the polarity of its tag, else 0; NaN where one of them cannot be parsed."""


FACT_NAMES = (*AnswerFacts._fields, "tokens", "cut")
"""Columns of the table of facts. `tokens` is the number of generated tokens; `cut` is 1 if the answer did not end by itself."""


@dataclass(frozen=True, slots=True)
class GroupResults:
    """Rewards and facts of whole groups of answers."""

    totals: torch.Tensor
    """Weighted sums of the rewards: (M, G)."""
    rewards: torch.Tensor
    """(M, G, K)."""
    facts: torch.Tensor
    """(M, G, F), as `FACT_NAMES` has them."""
    names: tuple[str, ...]
    """Names of the K rewards."""

    @classmethod
    def from_answers(
        cls,
        rewards_NK: torch.Tensor,
        facts_NF: torch.Tensor,
        weights_K: torch.Tensor,
        names: Sequence[str],
        size: int,
    ) -> GroupResults:
        """Arrange flat tables by group; the `size` answers of a group are consecutive rows."""
        totals_N = (rewards_NK * weights_K.to(rewards_NK.device)).nansum(dim=1)
        return cls(
            totals_N.view(-1, size),
            rewards_NK.view(-1, size, rewards_NK.shape[1]),
            facts_NF.view(-1, size, len(FACT_NAMES)),
            tuple(names),
        )

    def fact(self, name: str) -> torch.Tensor:
        """Return one fact of each answer: (M, G)."""
        return self.facts[:, :, FACT_NAMES.index(name)]

    def reward(self, name: str) -> torch.Tensor:
        """Return one reward of each answer, without its weight: (M, G)."""
        return self.rewards[:, :, self.names.index(name)]

    @property
    def correct(self) -> torch.Tensor:
        """1 for a right polarity in a well-formed answer, else 0: (M, G)."""
        return self.fact("format") * self.fact("polarity")


Pairs = Iterator[tuple[str, float]]


def metric_names(rewards: Sequence[str]) -> list[str]:
    """Return all names that may occur, for the names of the rewards."""
    return [
        *(f"reward/{name}" for name in ("unhinted", "hinted", "trained", *rewards)),
        *(f"reward_hinted/{name}" for name in rewards),
        *("hard/groups", "hint/groups", "zero_variance"),
        *(f"hint/{polarity}" for polarity in POLARITIES),
        *(f"polarity/{name}" for name in ("unhinted", *POLARITIES, "hard", "hard_trailing")),
        *(f"{what}/{which}" for what in ("agreement", "length", "cut") for which in ("unhinted", "hinted")),
    ]


def first_answer_metrics(first: GroupResults, polarities: Sequence[str]) -> Pairs:
    """Yield metrics of the first answers; `polarities` are those of the labels, one a group."""
    yield "reward/unhinted", first.totals.mean().item()
    yield from zip((f"reward/{name}" for name in first.names), _means(first), strict=True)
    right_M = first.fact("polarity").mean(dim=1)
    yield "polarity/unhinted", right_M.mean().item()
    yield from _by_polarity("polarity", right_M, polarities)
    yield from _answer_metrics("unhinted", first)


def hinted_answer_metrics(hinted: GroupResults) -> Pairs:
    yield "reward/hinted", hinted.totals.mean().item()
    yield from zip((f"reward_hinted/{name}" for name in hinted.names), _means(hinted), strict=True)
    yield from _answer_metrics("hinted", hinted)


def group_metrics(hard: Sequence[bool] | None, hinted: Sequence[bool], polarities: Sequence[str]) -> Pairs:
    """Yield metrics of groups; `hard` is `None` where the trigger cannot decide."""
    if hard is not None:
        yield "hard/groups", sum(hard) / len(hard)
    yield "hint/groups", sum(hinted) / len(hinted)
    yield from _by_polarity("hint", torch.tensor(hinted, dtype=torch.float32), polarities)


def history_metrics(right: int, answers: int, trailing: float | None) -> Pairs:
    """Yield polarity rates of first answers of samples that were hard in an earlier visit."""
    if answers:
        yield "polarity/hard", right / answers
    if trailing is not None:
        yield "polarity/hard_trailing", trailing


def trained_answer_metrics(
    rewards_NK: torch.Tensor, weights_K: torch.Tensor, groups_N: torch.Tensor
) -> Pairs:
    """Yield metrics of the answers that the update uses; a row of NaN is not used."""
    used_N = ~rewards_NK.isnan().all(dim=1)
    if not bool(used_N.any()):
        return
    totals_N = (rewards_NK * weights_K.to(rewards_NK.device)).nansum(dim=1)[used_N]
    yield "reward/trained", totals_N.mean().item()
    groups = groups_N[used_N]
    alike = [bool(t.max() - t.min() < 1e-6) for g in set(groups.tolist()) if len(t := totals_N[groups == g])]
    yield "zero_variance", sum(alike) / len(alike)


def _means(results: GroupResults) -> list[float]:
    means: list[float] = results.rewards.flatten(0, 1).nanmean(dim=0).tolist()
    return means


def _by_polarity(what: str, values_M: torch.Tensor, polarities: Sequence[str]) -> Pairs:
    for polarity in POLARITIES:
        own = [i for i, each in enumerate(polarities) if each == polarity]
        if own:
            yield f"{what}/{polarity}", values_M[own].mean().item()


def _answer_metrics(which: str, results: GroupResults) -> Pairs:
    agrees = results.fact("agrees").flatten()
    read = agrees[~agrees.isnan()]
    if len(read):
        yield f"agreement/{which}", read.mean().item()
    yield f"length/{which}", results.fact("tokens").mean().item()
    yield f"cut/{which}", results.fact("cut").mean().item()
