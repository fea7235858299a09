"""What is logged of a step's answers, by the name it has in metrics.jsonl and in tracking. Figure 3 is drawn from these.

First answers are those that the policy gives by itself, before any hint, whatever the policy of hints; rewards with a
hint and without are never mixed.

    reward/unhinted, reward/<name>           mean total, and mean reward by name, of first answers
    reward/hinted, reward_hinted/<name>      the same of hinted answers; absent in a step without any
    reward/trained                           mean total of the answers that the update used, as it used them
    hard/groups, hint/groups                 share of groups found hard, and hinted
    hint/negative, hint/neutral, …           share hinted of the groups of a polarity; absent where it has none
    polarity/unhinted                        share of first answers with the right polarity
    polarity/negative, polarity/neutral, …   the same, of the clips of a polarity
    polarity/hard                            the same, of clips that an earlier visit found hard
    polarity/hard_trailing                   the same over the last 20 steps: whether hints teach
    zero_variance                            share of trained groups whose answers are rewarded all alike
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

from runtime.text.clips import POLARITIES

if TYPE_CHECKING:
    from runtime.training.hints.answer_facts import Judged

Pairs = Iterator[tuple[str, float]]


def names(rewards: Sequence[str]) -> list[str]:
    """All that may occur."""
    return [
        *(f"reward/{name}" for name in ("unhinted", "hinted", "trained", *rewards)),
        *(f"reward_hinted/{name}" for name in rewards),
        *("hard/groups", "hint/groups", "zero_variance"),
        *(f"hint/{polarity}" for polarity in POLARITIES),
        *(f"polarity/{name}" for name in ("unhinted", *POLARITIES, "hard", "hard_trailing")),
        *(f"{what}/{which}" for what in ("agreement", "length", "cut") for which in ("unhinted", "hinted")),
    ]


def of_first(first: Judged, polarities: Sequence[str]) -> Pairs:
    """Of the first answers; `polarities` are the labels', one a group."""
    yield "reward/unhinted", first.totals.mean().item()
    yield from zip((f"reward/{name}" for name in first.names), _means(first), strict=True)
    right_M = first.fact("polarity").mean(dim=1)
    yield "polarity/unhinted", right_M.mean().item()
    yield from _by_polarity("polarity", right_M, polarities)
    yield from _of_answers("unhinted", first)


def of_hinted(hinted: Judged) -> Pairs:
    yield "reward/hinted", hinted.totals.mean().item()
    yield from zip((f"reward_hinted/{name}" for name in hinted.names), _means(hinted), strict=True)
    yield from _of_answers("hinted", hinted)


def of_groups(hard: Sequence[bool] | None, hinted: Sequence[bool], polarities: Sequence[str]) -> Pairs:
    """`hard` is `None` where no group was judged."""
    if hard is not None:
        yield "hard/groups", sum(hard) / len(hard)
    yield "hint/groups", sum(hinted) / len(hinted)
    yield from _by_polarity("hint", torch.tensor(hinted, dtype=torch.float32), polarities)


def of_history(right: int, answers: int, trailing: float | None) -> Pairs:
    """Of the first answers of samples that an earlier visit found hard."""
    if answers:
        yield "polarity/hard", right / answers
    if trailing is not None:
        yield "polarity/hard_trailing", trailing


def of_trained(rewards_NK: torch.Tensor, weights_K: torch.Tensor, groups_N: torch.Tensor) -> Pairs:
    """Of the answers that the update uses; a row of NaN is none of them."""
    used_N = ~rewards_NK.isnan().all(dim=1)
    if not bool(used_N.any()):
        return
    totals_N = (rewards_NK * weights_K.to(rewards_NK.device)).nansum(dim=1)[used_N]
    yield "reward/trained", totals_N.mean().item()
    groups = groups_N[used_N]
    alike = [bool(t.max() - t.min() < 1e-6) for g in set(groups.tolist()) if len(t := totals_N[groups == g])]
    yield "zero_variance", sum(alike) / len(alike)


def _means(judged: Judged) -> list[float]:
    means: list[float] = judged.rewards.flatten(0, 1).nanmean(dim=0).tolist()
    return means


def _by_polarity(what: str, values_M: torch.Tensor, polarities: Sequence[str]) -> Pairs:
    for polarity in POLARITIES:
        own = [i for i, each in enumerate(polarities) if each == polarity]
        if own:
            yield f"{what}/{polarity}", values_M[own].mean().item()


def _of_answers(which: str, judged: Judged) -> Pairs:
    agrees = judged.fact("agrees").flatten()
    read = agrees[~agrees.isnan()]
    if len(read):
        yield f"agreement/{which}", read.mean().item()
    yield f"length/{which}", judged.fact("tokens").mean().item()
    yield f"cut/{which}", judged.fact("cut").mean().item()
