"""A stage over clips that is cut into units, so that pods share it and a restart goes on where it was.

A unit is 64 clips in manifest order, whatever the number of shards. Its result belongs to the key of the stage: it is
created if absent, and whoever finds it there takes it. Shard j makes the units i with i mod shards = j; whoever then
sees all units has the whole, and commits it (DESIGN: "The store").

work/<kind>/<key>/units/00012.jsonl    first a line {"unit", "rows", "blake3"} about the rest, then the rows
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from blake3 import blake3

from c2f_spec.errors import Damaged
from c2f_spec.store import records
from c2f_spec.store.digest import reread_until_valid
from runtime.console import log_line

if TYPE_CHECKING:
    from io import BufferedWriter

    from c2f_spec.store.protocol import ObjectStore
    from runtime.process.context import Context


UNIT = 64
Rows = list[dict[str, Any]]
MakeRows = Callable[[Mapping[int, Sequence[str]]], Iterator[tuple[int, Rows | int]]]
"""Ids of the units that are missing, by number -> number and rows of each, in any order.

In place of the rows, how many more clips of the unit are done: a unit may take many minutes. None more is a sign of life.
"""


def run_units(ctx: Context, ids: Sequence[str], make: MakeRows) -> Rows | None:
    """The rows of all units in order, or `None` while other shards are still at theirs.

    Raises `Damaged` naming a unit that is not as it was written.
    """
    cut = [ids[start : start + UNIT] for start in range(0, len(ids), UNIT)]
    folder = f"{records.work_name(ctx.stage.kind, ctx.stage.key)}/units"
    names = [f"{folder}/{number:05d}.jsonl" for number in range(len(cut))]
    there = set(ctx.store.names(folder)) & set(names)
    if there:
        log_line(f"{len(there)} of {len(cut)} units were made before")
    done = sum(len(part) for name, part in zip(names, cut, strict=True) if name in there)
    mine = range(shard_index(), len(cut), ctx.stage.placement.shards)
    begun = Counter[int]()
    for number, rows in make({n: cut[n] for n in mine if names[n] not in there}):
        if isinstance(rows, int):
            begun[number] += rows
        else:
            ctx.store.create(names[number], _seal_unit(number, list(rows)))
            done += len(cut[number])
            begun[number] = 0
        ctx.progress(done + begun.total(), len(ids), "clips")
    missing = set(names) - set(ctx.store.names(folder))
    if missing:
        log_line(f"this share is done; {len(missing)} of {len(cut)} units are still with other shards")
        return None
    found = ctx.store.read_many(names)
    return [
        row for number, name in enumerate(names) for row in _read_unit(ctx.store, number, name, found[name])
    ]


def shard_index() -> int:
    """The number of this pod among those that share the stage, as an Indexed Job tells it; alone, 0."""
    return int(os.environ.get("JOB_COMPLETION_INDEX", "0"))


def _seal_unit(number: int, rows: Rows) -> bytes:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return _head(number, len(rows), body) + body


def _head(number: int, rows: int, body: bytes) -> bytes:
    return json.dumps({"unit": number, "rows": rows, "blake3": blake3(body).hexdigest()}).encode() + b"\n"


def _open_unit(number: int, data: bytes) -> Rows | None:
    """The rows, or `None` if a byte was changed."""
    head, _, body = data.partition(b"\n")
    lines = body.splitlines()
    whole = head + b"\n" == _head(number, len(lines), body)
    return [json.loads(line) for line in lines] if whole else None


def _read_unit(objects: ObjectStore, number: int, name: str, data: bytes) -> Rows:
    damaged = Damaged(
        f"{name} was changed since it was written", hint="remove it to have its clips done again"
    )
    return reread_until_valid(objects, name, data, partial(_open_unit, number), damaged)


# What a stage over clips has of a unit that is not whole yet, so that a restart asks only for the rest.
#
#     work/<kind>/<key>/journal/<attempt>.jsonl        in a store of this machine: a line is flushed as it is written
#     work/<kind>/<key>/journal/<attempt>-00003.jsonl  in a bucket, where objects do not grow: one every few lines
#
# A line is a digest and a row. A process that is killed leaves at most half a line, and loses what it had asked and not
# yet written: `at_once` questions under way, and in a bucket the lines that wait. Together never more than `most_lost`,
# because lines stop waiting early enough.


Row = dict[str, Any]
MIN_LOST_ROWS = 16
"""Rows that a bucket may cost at least: an object for each would be paid for dearly."""


def max_lost_rows(at_once: int) -> int:
    """K: rows that are made again, at most, after a process was killed."""
    return max(MIN_LOST_ROWS, 2 * at_once)


class Journal:
    """Of one attempt, with what all earlier ones left. Leaving it writes what waits."""

    def __init__(self, ctx: Context, at_once: int) -> None:
        self._objects = ctx.store
        self._folder = f"{records.work_name(ctx.stage.kind, ctx.stage.key)}/journal"
        # One name a process: shards and attempts never write to the same one.
        self._name = f"{self._folder}/{ctx.attempt}-{uuid.uuid4().hex[:8]}"
        self._room = max_lost_rows(at_once) - at_once
        self._waiting: list[bytes] = []
        self._number = 0
        self._file: BufferedWriter | None = None

    def rows(self) -> Iterator[Row]:
        """What was written before, in no order; the same row may come twice. Damage is told and skipped."""
        names = list(self._objects.names(self._folder))
        for name, data in self._objects.read_many(names).items():
            *lines, torn = data.split(b"\n")
            opened = [_open_row(line) for line in lines]
            lost = sum(row is None for row in opened)
            if lost:
                log_line(f"warning: {lost} lines of {name} are damaged; what they had is asked again")
            elif torn:
                log_line(f"{name} ends in half a line, as a killed process leaves it")
            yield from (row for row in opened if row is not None)

    def append(self, row: Row) -> None:
        """Keep a row, at once or with the next few."""
        self._waiting.append(_seal_row(row))
        if self._objects.local(self._name) is not None or len(self._waiting) >= self._room:
            self.flush()

    def flush(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        if not data:
            return
        local = self._objects.local(f"{self._name}.jsonl")
        if local is None:
            self._objects.create(f"{self._name}-{self._number:05d}.jsonl", data)
            self._number += 1
            return
        if self._file is None:
            local.parent.mkdir(parents=True, exist_ok=True)
            self._file = local.open("ab", buffering=0)  # type: ignore[assignment]
        assert self._file is not None
        self._file.write(data)
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()


def _seal_row(row: Row) -> bytes:
    body = json.dumps(row, ensure_ascii=False).encode()
    return _digest(body) + b" " + body + b"\n"


def _open_row(line: bytes) -> Row | None:
    digest, _, body = line.partition(b" ")
    return json.loads(body) if digest == _digest(body) else None


def _digest(body: bytes) -> bytes:
    return blake3(body).hexdigest(length=8).encode()
