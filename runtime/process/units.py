"""A stage over clips that is cut into units, so that pods share it and a restart goes on where it was.

A unit is 64 clips in manifest order, whatever the number of shards. Its result belongs to the key of the stage: it is
created if absent, and whoever finds it there takes it. Shard j makes the units i with i mod shards = j; whoever then
sees all units has the whole, and commits it (DESIGN: "The store").

work/<kind>/<key>/units/00012.jsonl    first a line {"unit", "rows", "blake3"} about the rest, then the rows
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from c2f_spec.errors import Damaged
from c2f_spec.store import records
from c2f_spec.store.digest import believed
from runtime.console import say

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore
    from runtime.process.context import Context

UNIT = 64
Rows = list[dict[str, Any]]
Make = Callable[[Mapping[int, Sequence[str]]], Iterator[tuple[int, Rows | int]]]
"""Ids of the units that are missing, by number -> number and rows of each, in any order.

In place of the rows, how many more clips of the unit are done: a unit may take many minutes. None more is a sign of life.
"""


def in_units(ctx: Context, ids: Sequence[str], make: Make) -> Rows | None:
    """The rows of all units in order, or `None` while other shards are still at theirs.

    Raises `Damaged` naming a unit that is not as it was written.
    """
    cut = [ids[start : start + UNIT] for start in range(0, len(ids), UNIT)]
    folder = f"{records.work_name(ctx.stage.kind, ctx.stage.key)}/units"
    names = [f"{folder}/{number:05d}.jsonl" for number in range(len(cut))]
    there = set(ctx.objects.names(folder)) & set(names)
    if there:
        say(f"{len(there)} of {len(cut)} units were made before")
    done = sum(len(part) for name, part in zip(names, cut, strict=True) if name in there)
    mine = range(shard(), len(cut), ctx.stage.placement.shards)
    begun = Counter[int]()
    for number, rows in make({n: cut[n] for n in mine if names[n] not in there}):
        if isinstance(rows, int):
            begun[number] += rows
        else:
            ctx.objects.create(names[number], _sealed(number, list(rows)))
            done += len(cut[number])
            begun[number] = 0
        ctx.progress(done + begun.total(), len(ids), "clips")
    missing = set(names) - set(ctx.objects.names(folder))
    if missing:
        say(f"this share is done; {len(missing)} of {len(cut)} units are still with other shards")
        return None
    found = ctx.objects.read_many(names)
    return [row for number, name in enumerate(names) for row in _read(ctx.objects, number, name, found[name])]


def shard() -> int:
    """The number of this pod among those that share the stage, as an Indexed Job tells it; alone, 0."""
    return int(os.environ.get("JOB_COMPLETION_INDEX", "0"))


def _sealed(number: int, rows: Rows) -> bytes:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return _head(number, len(rows), body) + body


def _head(number: int, rows: int, body: bytes) -> bytes:
    return json.dumps({"unit": number, "rows": rows, "blake3": blake3(body).hexdigest()}).encode() + b"\n"


def _opened(number: int, data: bytes) -> Rows | None:
    """The rows, or `None` if a byte was changed."""
    head, _, body = data.partition(b"\n")
    lines = body.splitlines()
    whole = head + b"\n" == _head(number, len(lines), body)
    return [json.loads(line) for line in lines] if whole else None


def _read(objects: ObjectStore, number: int, name: str, data: bytes) -> Rows:
    damaged = Damaged(
        f"{name} was changed since it was written", hint="remove it to have its clips done again"
    )
    return believed(objects, name, data, partial(_opened, number), damaged)
