"""What becomes of a hinted group: which answers are replaced, which join it, and on which rank (METHOD 6.4).

The answers of all ranks stand in one order, G of a group side by side, n on each rank; a group may be split over ranks.
Every rank computes the whole layout from what all know, so that all take the same collective steps.

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
    """Where a hinted answer goes."""

    group: int
    row: int
    """Of its rank: whose prompt it answers."""
    replaces: bool
    """That row's answer; else it joins the group."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a step's answers."""

    size: int
    """G, answers of a group."""
    share: int
    """n, answers of a rank."""
    world: int
    """Ranks."""

    def place(self, index: int) -> tuple[int, int]:
        """Rank and row of an answer among all ranks'."""
        return divmod(index, self.share)


def hinted_each(kind: AnyGroup, size: int) -> int:
    """Hinted answers of a group."""
    return size if isinstance(kind, ReplaceAll) else kind.k


def at_once(hint: Hint, shape: Shape) -> int:
    """Most answers of one generation of a rank: its own, and beside them the hinted ones of all groups."""
    if hint.hard_policy != "hint":
        return shape.share
    return shape.share + ceil(shape.share / shape.size) * hinted_each(hint.group, shape.size)


def slots(kind: AnyGroup, shape: Shape, groups: Sequence[int]) -> list[list[Slot]]:
    """Of each rank, in its order, for the hinted `groups`; slots of a group follow each other."""
    found: list[list[Slot]] = [[] for _ in range(shape.world)]
    for group in groups:
        first = group * shape.size
        if isinstance(kind, Append):
            rank, row = shape.place(first)
            found[rank] += [Slot(group, row, replaces=False)] * kind.k
            continue
        for index in range(first + shape.size - hinted_each(kind, shape.size), first + shape.size):
            rank, row = shape.place(index)
            found[rank].append(Slot(group, row, replaces=True))
    return found


def by_group(of_ranks: Sequence[Sequence[Slot]], width: int, groups: Sequence[int]) -> list[list[int]]:
    """Of each of `groups`, where its slots lie in a table that has `width` rows of each rank."""
    at: dict[int, list[int]] = defaultdict(list)
    for rank, own in enumerate(of_ranks):
        for i, slot in enumerate(own):
            at[slot.group].append(rank * width + i)
    return [at[group] for group in groups]


def padded(shape: Shape, joined: Sequence[int], passes: int) -> int:
    """Rows of every rank after `joined` rows came to each.

    All ranks have equally many, which divide over `passes` and over groups of `size`, as TRL cuts them.
    """
    most = max(joined)
    if most == 0:
        return shape.share
    unit = lcm(passes, shape.size)
    return -(-(shape.share + most) // unit) * unit


def layout(
    shape: Shape, of_ranks: Sequence[Sequence[Slot]], width: int, used: frozenset[int], rows: int
) -> tuple[list[int], list[int]]:
    """Group and source of each answer that the update is given, `rows` on every rank.

    A source below `shape.share * shape.world` is a first answer, the next `width` of each rank are its slots, and the
    last is no answer at all: a row that only makes the ranks equal. Slots of groups that are not `used` leave the first
    answers as they are.
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
