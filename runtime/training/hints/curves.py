"""Compute the metrics of a step's answers, under their names in metrics.jsonl and in tracking. Figure 3 shows these.

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
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from c2f_spec.spec.formats import POLARITIES

if TYPE_CHECKING:
    from runtime.training.hints.answer_facts import GroupResults

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
