"""Advantages against TRL's, to the bit, and against their definition in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.training.advantages import advantages

DEFAULT = {"scale": "group", "std": "unbiased", "eps": 1e-4, "aggregate": "sum_then_normalise"}


def group_advantages(rewards, generations, parts=None, **choices):
    """Advantages of groups side by side; `rewards` is a list of totals."""
    column = torch.tensor(rewards)[:, None]
    groups = torch.arange(len(rewards)) // generations
    parts = None if parts is None else torch.tensor(parts)
    return advantages(column, torch.ones(1), groups, parts, **{**DEFAULT, **choices})


def test_worked_values():
    """METHOD 1.6."""
    worked = group_advantages([1.0, 1.0, 1.0, 2.9], 4)
    assert worked.tolist() == pytest.approx([-0.499947] * 3 + [1.499842], abs=1e-6)
    assert group_advantages([1.0] * 4, 4).tolist() == [0.0] * 4
    near = group_advantages([2.9, 2.8, 2.95, 2.7], 4)
    assert near.tolist() == pytest.approx([0.56, -0.34, 1.01, -1.24], abs=0.01)


def slow(rewards, weights, groups, parts, scale, std, eps, aggregate):
    """The definition in double precision, a loop."""

    def mean(values):
        return math.fsum(values) / len(values) if values else math.nan

    def deviation(values):
        divisor = len(values) - (std == "unbiased")
        return (
            math.sqrt(math.fsum((v - mean(values)) ** 2 for v in values) / divisor) if divisor else math.nan
        )

    def known(values):
        return [v for v in values if not math.isnan(v)]

    def total(row):
        return math.fsum(w * r for w, r in zip(weights, row, strict=True) if not math.isnan(r))

    n = range(len(rewards))
    unit = [[j for j in n if (groups[j], parts[j]) == (groups[i], parts[i])] for i in n]
    scored = [bool(known(row)) for row in rewards]
    if aggregate == "normalise_then_sum":
        normal = []
        for i in n:
            columns = [known([rewards[j][k] for j in unit[i]]) for k in range(len(weights))]
            normal.append([(rewards[i][k] - mean(c)) / (deviation(c) + eps) if len(c) > 1 else
                           0.0 * rewards[i][k] for k, c in enumerate(columns)])  # fmt: skip
        sums = [total(row) for row in normal]
        everybody = [s for s, is_scored in zip(sums, scored, strict=True) if is_scored]
        result = [
            (s - mean(everybody)) / (deviation(everybody) + eps) if len(everybody) > 1 else 0.0 for s in sums
        ]
    else:
        sums = [total(row) for row in rewards]
        result = []
        for i in n:
            others = [sums[j] for j in unit[i] if scored[j]]
            spread = others if scale == "group" else [s for s, ok in zip(sums, scored, strict=True) if ok]
            alone = len(others) < 2 or (scale != "none" and len(spread) < 2)
            divisor = 1.0 if scale == "none" or alone else deviation(spread) + eps
            result.append(0.0 if alone else (sums[i] - mean(others)) / divisor)
    return [value if is_scored else 0.0 for value, is_scored in zip(result, scored, strict=True)]


REWARD = st.one_of(st.floats(0, 3, width=32), st.sampled_from([0.0, 1.0, math.nan]))


@st.composite
def cases(draw):
    generations, groups, kinds = draw(st.integers(2, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    n = generations * groups
    rows = draw(st.lists(st.lists(REWARD, min_size=kinds, max_size=kinds), min_size=n, max_size=n))
    numbers = draw(st.permutations([i // generations for i in range(n)]))
    parts = draw(st.one_of(st.just([0] * n), st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    weights = draw(st.lists(st.floats(0, 2, width=32), min_size=kinds, max_size=kinds))
    aggregate = draw(st.sampled_from(["sum_then_normalise", "normalise_then_sum"]))
    scale = (
        "group" if aggregate == "normalise_then_sum" else draw(st.sampled_from(["group", "batch", "none"]))
    )
    std = draw(st.sampled_from(["unbiased", "population"]))
    return rows, weights, numbers, parts, scale, std, draw(st.sampled_from([1e-4, 0.01])), aggregate


@given(cases())
def test_definition(case):
    rows, weights, groups, parts, scale, std, eps, aggregate = case
    double = torch.float64  # so that a deviation that is nothing but rounding stays far below `eps`
    ours = advantages(
        torch.tensor(rows, dtype=double), torch.tensor(weights, dtype=double), torch.tensor(groups),
        torch.tensor(parts), scale=scale, std=std, eps=eps, aggregate=aggregate,
    )  # fmt: skip
    assert ours.tolist() == pytest.approx(slow(*case), abs=1e-9, rel=1e-9)
    if not any(parts):
        assert torch.equal(
            ours,
            advantages(torch.tensor(rows, dtype=double), torch.tensor(weights, dtype=double), torch.tensor(groups),
                       scale=scale, std=std, eps=eps, aggregate=aggregate),
        )  # fmt: skip


def test_hinted_and_unhinted_answers_are_compared_apart():
    apart = group_advantages([1.0, 2.0, 5.0, 7.0], 4, parts=[0, 0, 1, 1], scale="none")
    assert apart.tolist() == [-0.5, 0.5, -1.0, 1.0]
    alone = group_advantages([1.0, 2.0, 3.0, 7.0], 4, parts=[0, 0, 0, 1])
    assert alone[3] == 0.0, "there is nothing to compare it with"
    assert alone[:3].tolist() == pytest.approx([-0.9999, 0.0, 0.9999], abs=1e-6)


def test_groups_may_differ_in_size():
    """A group to which hinted answers were added is larger than the others."""
    mixed = advantages(torch.tensor([[1.0], [3.0], [1.0], [2.0], [6.0]]), torch.ones(1), torch.tensor([7, 7, 2, 2, 2]),
                       **{**DEFAULT, "scale": "none"})  # fmt: skip
    assert mixed.tolist() == [-1.0, 1.0, -2.0, -1.0, 3.0]
