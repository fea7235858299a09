"""What a stage over clips has of a unit that is not whole yet, so that a restart asks only for the rest.

    work/<kind>/<key>/journal/<attempt>.jsonl        in a store of this machine: a line is flushed as it is written
    work/<kind>/<key>/journal/<attempt>-00003.jsonl  in a bucket, where objects do not grow: one every few lines

A line is a digest and a row. A process that is killed leaves at most half a line, and loses what it had asked and not
yet written: `at_once` questions under way, and in a bucket the lines that wait. Together never more than `most_lost`,
because lines stop waiting early enough.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any, Self

from blake3 import blake3

from c2f_spec.store import records
from runtime.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedWriter

    from runtime.process.context import Context

Row = dict[str, Any]
LEAST = 16
"""Rows that a bucket may cost at least: an object for each would be paid for dearly."""


def most_lost(at_once: int) -> int:
    """K: rows that are made again, at most, after a process was killed."""
    return max(LEAST, 2 * at_once)


class Journal:
    """Of one attempt, with what all earlier ones left. Leaving it writes what waits."""

    def __init__(self, ctx: Context, at_once: int) -> None:
        self._objects = ctx.objects
        self._folder = f"{records.work_name(ctx.stage.kind, ctx.stage.key)}/journal"
        # One name a process: shards and attempts never write to the same one.
        self._name = f"{self._folder}/{ctx.attempt}-{uuid.uuid4().hex[:8]}"
        self._room = most_lost(at_once) - at_once
        self._waiting: list[bytes] = []
        self._number = 0
        self._file: BufferedWriter | None = None

    def rows(self) -> Iterator[Row]:
        """What was written before, in no order; the same row may come twice. Damage is told and skipped."""
        names = list(self._objects.names(self._folder))
        for name, data in self._objects.read_many(names).items():
            *lines, torn = data.split(b"\n")
            opened = [_opened(line) for line in lines]
            lost = sum(row is None for row in opened)
            if lost:
                say(f"warning: {lost} lines of {name} are damaged; what they had is asked again")
            elif torn:
                say(f"{name} ends in half a line, as a killed process leaves it")
            yield from (row for row in opened if row is not None)

    def note(self, row: Row) -> None:
        """Keep a row, at once or with the next few."""
        self._waiting.append(_sealed(row))
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


def _sealed(row: Row) -> bytes:
    body = json.dumps(row, ensure_ascii=False).encode()
    return _digest(body) + b" " + body + b"\n"


def _opened(line: bytes) -> Row | None:
    digest, _, body = line.partition(b" ")
    return json.loads(body) if digest == _digest(body) else None


def _digest(body: bytes) -> bytes:
    return blake3(body).hexdigest(length=8).encode()
