"""What becomes of groups that are hinted, on one rank and on several: no model, no trainer."""

from __future__ import annotations

import random

import pytest

from c2f_spec.spec.hint import Append, ReplaceAll, ReplaceK
from runtime.training.hints import groups

KINDS = (
    ReplaceAll(),
    ReplaceK(kind="replace_k", k=2),
    Append(kind="append", k=1),
    Append(kind="append", k=3),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.kind}{getattr(kind, 'k', '')}")
def test_pitfall_groups_split_over_ranks_are_laid_out_alike_on_all(kind):
    rng = random.Random(1)
    for _ in range(200):
        size, world = rng.choice([2, 3, 4]), rng.choice([1, 2, 4])
        passes = rng.choice([1, 2])
        count = passes * world * rng.randint(1, 3)
        shape = groups.StepShape(size, count * size // world, world)
        given = [g for g in range(count) if rng.random() < 0.4]
        taken = frozenset(g for g in given if rng.random() < 0.8)
        slots = groups.hinted_slots(kind, shape, given)
        width = max(map(len, slots))
        joined = [sum(s.group in taken and not s.replaces for s in own) for own in slots]
        rows = groups.padded_rows(shape, joined, passes)
        of_group, source = groups.update_layout(shape, slots, width, taken, rows)
        check_layout(kind, shape, given, taken, slots, width, rows, of_group, source)


def check_layout(kind, shape, given, taken, slots, width, rows, of_group, source):
    firsts, each = shape.share * shape.world, min(groups.hinted_per_group(kind, shape.size), 99)
    blank = firsts + width * shape.world
    assert len(source) == len(of_group) == rows * shape.world
    assert rows == shape.share or rows % shape.size == 0
    members = {
        g: [i for h, i in zip(of_group, source, strict=True) if h == g and i < blank] for g in set(of_group)
    }
    for group, sources in members.items():
        own = [i for i in sources if i < firsts]
        extra = [i for i in sources if i >= firsts]
        assert len(set(extra)) == len(extra) == (each if group in taken else 0)
        assert set(own) <= set(range(group * shape.size, (group + 1) * shape.size))
        replaced = each if group in taken and not isinstance(kind, Append) else 0
        assert len(own) == shape.size - replaced
    for rank, own in enumerate(slots):
        mine = source[rank * rows : (rank + 1) * rows]
        # What a rank trains on it has generated itself.
        assert all(rank * shape.share <= i < (rank + 1) * shape.share for i in mine if i < firsts)
        assert all(0 <= i - firsts - rank * width < len(own) for i in mine if firsts <= i < blank)
        for slot in own:
            assert (rank * shape.share + slot.row) // shape.size == slot.group, (
                "the prompt is that of the group"
            )
    order = groups.slot_rows(slots, width, given)
    assert [len(places) for places in order] == [each] * len(given)


def test_nothing_is_padded_where_nothing_joined():
    assert groups.padded_rows(groups.StepShape(4, 6, 2), [0, 0], 3) == 6
    assert groups.padded_rows(groups.StepShape(4, 8, 2), [1, 0], 2) == 12
