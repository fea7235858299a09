"""Units and journal of a stage over clips: pods share the stage, and a restart continues where it was.

    work/<kind>/<key>/units/00012.jsonl              a line {"unit", "rows", "blake3"} about the rest, then the rows
    work/<kind>/<key>/journal/<attempt>.jsonl        in a folder: a line is flushed as it is written
    work/<kind>/<key>/journal/<attempt>-00003.jsonl  in a bucket, where objects do not grow: an object every few lines

A unit is 64 clips in manifest order, whatever the number of shards. Its result belongs to the key of the stage: it is
created if absent, and an existing one is used. Shard j makes the units i with i mod shards = j; the shard that then finds all
units complete commits the stage (DESIGN: "The store").

The journal has the rows of a unit that is not complete yet, so that a restart asks a model for the others alone. A line is
a digest and a row. A process that is killed leaves at most half a line, and loses what was under way or not yet written:
`at_once` requests, and in a bucket the lines that wait. Together that is never more than `max_lost_rows`.
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
"""Clips of a unit."""
JsonRow = dict[str, Any]
JsonRows = list[JsonRow]
MakeRows = Callable[[Mapping[int, Sequence[str]]], Iterator[tuple[int, JsonRows | int]]]
"""Takes the clip ids of the missing units by number; yields number and rows of each unit, in any order.

In place of rows it may yield how many more clips of the unit are done, because a unit may take many minutes. 0 is a heartbeat.
"""
MIN_LOST_ROWS = 16
"""Least bound of the rows that a killed process may lose: an object of a bucket for each row would cost too much."""


def run_units(ctx: Context, ids: Sequence[str], make: MakeRows) -> JsonRows | None:
    """Make the missing units of this shard; return all rows in order, or `None` while other shards have units to make.

    Raises `Damaged` naming a unit that was changed since it was written.
    """
    cut = [ids[start : start + UNIT] for start in range(0, len(ids), UNIT)]
    folder = f"{records.work_name(ctx.stage.kind, ctx.stage.key)}/units"
    names = [f"{folder}/{number:05d}.jsonl" for number in range(len(cut))]
    existing = set(ctx.store.names(folder)) & set(names)
    if existing:
        log_line(f"{len(existing)} of {len(cut)} units exist already")
    done = sum(len(part) for name, part in zip(names, cut, strict=True) if name in existing)
    mine = range(shard_index(), len(cut), ctx.stage.placement.shards)
    partial_clips = Counter[int]()
    for number, rows in make({n: cut[n] for n in mine if names[n] not in existing}):
        if isinstance(rows, int):
            partial_clips[number] += rows
        else:
            ctx.store.create(names[number], _seal_unit(number, list(rows)))
            done += len(cut[number])
            partial_clips[number] = 0
        ctx.progress(done + partial_clips.total(), len(ids), "clips")
    missing = set(names) - set(ctx.store.names(folder))
    if missing:
        log_line(f"this shard is done; other shards still make {len(missing)} of {len(cut)} units")
        return None
    data = ctx.store.read_many(names)
    return [row for n, name in enumerate(names) for row in _read_unit(ctx.store, n, name, data[name])]


def shard_index() -> int:
    """Return the number of this pod among those that share the stage, as an Indexed Job sets it; alone 0."""
    return int(os.environ.get("JOB_COMPLETION_INDEX", "0"))


def _seal_unit(number: int, rows: JsonRows) -> bytes:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return _head(number, len(rows), body) + body


def _head(number: int, rows: int, body: bytes) -> bytes:
    return json.dumps({"unit": number, "rows": rows, "blake3": blake3(body).hexdigest()}).encode() + b"\n"


def _open_unit(number: int, data: bytes) -> JsonRows | None:
    """Return the rows, or `None` if a byte was changed."""
    head, _, body = data.partition(b"\n")
    lines = body.splitlines()
    whole = head + b"\n" == _head(number, len(lines), body)
    return [json.loads(line) for line in lines] if whole else None


def _read_unit(store: ObjectStore, number: int, name: str, data: bytes) -> JsonRows:
    damaged = Damaged(
        f"{name} was changed since it was written", hint="remove it: its clips are then done again"
    )
    return reread_until_valid(store, name, data, partial(_open_unit, number), damaged)


def max_lost_rows(at_once: int) -> int:
    """Return K, the most rows that must be made again after a process was killed."""
    return max(MIN_LOST_ROWS, 2 * at_once)


class Journal:
    """The journal of one attempt, with the rows of all earlier ones. Leaving its context writes the rows that wait."""

    def __init__(self, ctx: Context, at_once: int) -> None:
        self._store = ctx.store
        self._folder = f"{records.work_name(ctx.stage.kind, ctx.stage.key)}/journal"
        # A name for each process: shards and attempts never write to the same one.
        self._name = f"{self._folder}/{ctx.attempt}-{uuid.uuid4().hex[:8]}"
        self._room = max_lost_rows(at_once) - at_once
        self._waiting: list[bytes] = []
        self._number = 0
        self._file: BufferedWriter | None = None

    def rows(self) -> Iterator[JsonRow]:
        """Yield the rows of earlier attempts, in no order; a row may come twice. Damaged lines are logged and skipped."""
        names = list(self._store.names(self._folder))
        for name, data in self._store.read_many(names).items():
            *lines, torn = data.split(b"\n")
            rows = [_open_row(line) for line in lines]
            lost = sum(row is None for row in rows)
            if lost:
                log_line(f"warning: {lost} lines of {name} are damaged; their rows are requested again")
            elif torn:
                log_line(f"{name} ends in half a line, as after a process was killed")
            yield from (row for row in rows if row is not None)

    def append(self, row: JsonRow) -> None:
        """Write a row, at once or with the next few."""
        self._waiting.append(_seal_row(row))
        if self._store.local(self._name) is not None or len(self._waiting) >= self._room:
            self.flush()

    def flush(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        if not data:
            return
        local = self._store.local(f"{self._name}.jsonl")
        if local is None:
            self._store.create(f"{self._name}-{self._number:05d}.jsonl", data)
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


def _seal_row(row: JsonRow) -> bytes:
    body = json.dumps(row, ensure_ascii=False).encode()
    return _digest(body) + b" " + body + b"\n"


def _open_row(line: bytes) -> JsonRow | None:
    digest, _, body = line.partition(b" ")
    return json.loads(body) if digest == _digest(body) else None


def _digest(body: bytes) -> bytes:
    return blake3(body).hexdigest(length=8).encode()
