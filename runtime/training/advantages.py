"""Compute advantages from the rewards of groups of answers (METHOD 1.6, 1.7).

With the defaults of the spec they equal TRL's to the last bit. TRL 1.16 has no field for the kind of standard
deviation and what is added to it, and cannot normalise hinted answers apart from the others.

Shapes: N answers of all ranks, K rewards, U units (a group, or one part of it), M answers of the largest unit.
"""

from __future__ import annotations

from typing import Literal

import torch

Scale = Literal["group", "batch", "none"]
Std = Literal["unbiased", "population"]
Aggregate = Literal["sum_then_normalise", "normalise_then_sum"]


def advantages(
    rewards_NK: torch.Tensor,
    weights_K: torch.Tensor,
    groups_N: torch.Tensor,
    parts_N: torch.Tensor | None = None,
    *,
    scale: Scale,
    std: Std,
    eps: float,
    aggregate: Aggregate,
) -> torch.Tensor:
    """Return how much better each answer is than the others of its unit: (N,).

    `groups_N` numbers the groups. `parts_N`, where given, numbers the parts of a group, hinted and not: each is then
    compared with itself only. A reward of NaN counts nothing; an answer whose rewards are all NaN is in no mean
    or deviation, and has no advantage. Neither has an answer that is alone in its unit.

    `sum_then_normalise` compares the weighted sums: (sum - unit's mean) / (deviation + eps), the deviation being the
    unit's (`group`), that of all answers (`batch`), or nothing (`none`).
    `normalise_then_sum` divides each reward by its own deviation in the unit, and the weighted sums by theirs in the
    batch (TRL's `multi_objective_aggregation`); it takes no other scale than `group`.
    """
    table_UM, unit_N = _units(groups_N, parts_N)
    unscorable_N = rewards_NK.isnan().all(dim=1)
    if aggregate == "normalise_then_sum":
        assert scale == "group", "each reward is divided by the deviation in its group"
        rewards_UMK = _by_unit(rewards_NK, table_UM)
        mean_UK, std_UK = rewards_UMK.nanmean(dim=1), _std(rewards_UMK, std, dim=1)
        normal_NK = (rewards_NK - mean_UK[unit_N]) / (std_UK[unit_N] + eps)
        sums_N = _weighted_sums(normal_NK, weights_K, unscorable_N)
        return ((sums_N - sums_N.nanmean()) / (_std(sums_N, std, dim=0) + eps)).nan_to_num(nan=0.0)

    sums_N = _weighted_sums(rewards_NK, weights_K, unscorable_N)
    sums_UM = _by_unit(sums_N, table_UM)
    above_N = sums_N - sums_UM.nanmean(dim=1)[unit_N]
    if scale == "group":
        above_N = above_N / (_std(sums_UM, std, dim=1)[unit_N] + eps)
    elif scale == "batch":
        above_N = above_N / (_std(sums_N, std, dim=0) + eps)
    return above_N.nan_to_num(nan=0.0)


def _units(groups_N: torch.Tensor, parts_N: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows of each unit's answers (U, M), padded with N, and the unit of each answer (N,)."""
    columns = [groups_N.long()] if parts_N is None else [groups_N.long(), parts_N.long()]
    _, unit_N, size_U = torch.unique(
        torch.stack(columns, dim=1), dim=0, return_inverse=True, return_counts=True
    )
    order_N = unit_N.argsort(stable=True)
    sorted_N = unit_N[order_N]
    first_U = size_U.cumsum(0) - size_U
    within_N = torch.arange(len(unit_N), device=unit_N.device) - first_U[sorted_N]
    table_UM = torch.full((len(size_U), int(size_U.max())), len(unit_N), device=unit_N.device)
    table_UM[sorted_N, within_N] = order_N
    return table_UM, unit_N


def _by_unit(values_N: torch.Tensor, table_UM: torch.Tensor) -> torch.Tensor:
    """Return values (N, ...) arranged by unit (U, M, ...), NaN where a unit has fewer answers."""
    return torch.cat([values_N, torch.full_like(values_N[:1], torch.nan)])[table_UM]


def _weighted_sums(
    rewards_NK: torch.Tensor, weights_K: torch.Tensor, unscorable_N: torch.Tensor
) -> torch.Tensor:
    """Return the weighted sum of each answer's rewards; NaN for an answer without any."""
    return (rewards_NK * weights_K).nansum(dim=1).masked_fill(unscorable_N, torch.nan)


def _std(values: torch.Tensor, std: Std, *, dim: int) -> torch.Tensor:
    """Return the standard deviation along `dim`, NaNs left out; NaN for fewer than two values where it is unbiased."""
    squares = (values - values.nanmean(dim=dim, keepdim=True)) ** 2
    variance = squares.nanmean(dim=dim)
    if std == "unbiased":
        count = (~values.isnan()).sum(dim=dim).to(values.dtype)
        variance = variance * torch.where(count > 1, count / (count - 1), torch.nan)
    return variance.sqrt()
