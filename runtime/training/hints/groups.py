"""Compute the layout of a step's answers: which are replaced by hinted ones, which are added, on which rank (METHOD 6.4).

The answers of all ranks have one order: the G of a group are consecutive, each rank has n; ranks may split a group. Every
rank computes the whole layout from shared facts, so that all take the same collective steps.

    replace_all   every answer of the group is generated again
    replace_k     the last k of the group: answers are exchangeable, and none is chosen for its reward
    append        k more, on the rank that has the group's first answer
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import ceil, lcm
from typing import TYPE_CHECKING

from c2f_spec.spec.hint import Append, ReplaceAll, ReplaceK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.spec.hint import Hint

AnyGroup = ReplaceAll | ReplaceK | Append


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a hinted answer."""

    group: int
    row: int
    """Row of its rank that has the prompt."""
    replaces: bool
    """True if it replaces the answer of that row, else it is added to the group."""


@dataclass(frozen=True, slots=True)
class StepShape:
    """The numbers of a step's answers."""

    size: int
    """G, answers a group."""
    share: int
    """n, answers a rank."""
    world: int
    """Number of ranks."""

    def place(self, index: int) -> tuple[int, int]:
        """Return rank and row of the answer with this number among all ranks' answers."""
        return divmod(index, self.share)


def hinted_per_group(kind: AnyGroup, size: int) -> int:
    """Return the number of hinted answers a group."""
    return size if isinstance(kind, ReplaceAll) else kind.k


def max_answers_per_generation(hint: Hint, shape: StepShape) -> int:
    """Return the most answers of a rank in one generation: first answers and the hinted ones of all groups."""
    if hint.hard_policy != "hint":
        return shape.share
    return shape.share + ceil(shape.share / shape.size) * hinted_per_group(hint.group, shape.size)


def hinted_slots(kind: AnyGroup, shape: StepShape, groups: Sequence[int]) -> list[list[Slot]]:
    """Return the slots of each rank for the hinted `groups`; slots of a group are consecutive."""
    found: list[list[Slot]] = [[] for _ in range(shape.world)]
    for group in groups:
        first = group * shape.size
        if isinstance(kind, Append):
            rank, row = shape.place(first)
            found[rank] += [Slot(group, row, replaces=False)] * kind.k
            continue
        for index in range(first + shape.size - hinted_per_group(kind, shape.size), first + shape.size):
            rank, row = shape.place(index)
            found[rank].append(Slot(group, row, replaces=True))
    return found


def slot_rows(of_ranks: Sequence[Sequence[Slot]], width: int, groups: Sequence[int]) -> list[list[int]]:
    """Return the rows of each group's slots in a table that has `width` rows a rank."""
    at: dict[int, list[int]] = defaultdict(list)
    for rank, own in enumerate(of_ranks):
        for i, slot in enumerate(own):
            at[slot.group].append(rank * width + i)
    return [at[group] for group in groups]


def padded_rows(shape: StepShape, joined: Sequence[int], passes: int) -> int:
    """Return the number of rows of every rank after `joined[rank]` rows were added.

    All ranks have equally many, which divide over `passes` and over groups of `size`, as TRL splits them.
    """
    most = max(joined)
    if most == 0:
        return shape.share
    unit = lcm(passes, shape.size)
    return -(-(shape.share + most) // unit) * unit


def update_layout(
    shape: StepShape, of_ranks: Sequence[Sequence[Slot]], width: int, used: frozenset[int], rows: int
) -> tuple[list[int], list[int]]:
    """Return group and source of each row of the update, `rows` on every rank.

    A source below `shape.share * shape.world` is a first answer, the next `width` of each rank are its slots, and the
    last is a blank row that only makes the ranks equal. Slots of groups that are not `used` are ignored.
    """
    firsts = shape.share * shape.world
    groups: list[int] = []
    sources: list[int] = []
    for rank, own in enumerate(of_ranks):
        of_rows = list(range(rank * shape.share, (rank + 1) * shape.share))
        of_groups = [index // shape.size for index in of_rows]
        for i, slot in enumerate(own):
            if slot.group not in used:
                continue
            if slot.replaces:
                of_rows[slot.row] = firsts + rank * width + i
            else:
                of_rows.append(firsts + rank * width + i)
                of_groups.append(slot.group)
        blank = rows - len(of_rows)
        sources += of_rows + [firsts + width * shape.world] * blank
        groups += of_groups + [of_groups[0]] * blank
    return groups, sources
