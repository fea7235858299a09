"""The log of an attempt: what its workers print goes to stdout, and to the store in pieces of bounded size, secrets masked.

`runtime.process.supervise` opens it. A worker never waits for storage: one thread reads its pipe, another one stores. If the
store fails, pieces are retried up to a bound, and lines that are lost are counted in the log.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import IO, TYPE_CHECKING

from c2f_spec.errors import Unreachable
from c2f_spec.masking import mask_secrets, secret_values
from c2f_spec.store.stage_logs import piece_name

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore

PIECE_BYTES = 64 << 10
"""Size of a piece, about, in bytes."""
STORE_SECONDS = 5.0
"""Seconds that a line waits at most to be stored."""
MAX_PIECES = 1024
"""Pieces of an attempt at most: 64 MB. Later lines are only printed."""
MAX_WAITING_BYTES = 4 << 20
"""Bytes that wait at most for a store that fails; the oldest lines are dropped first."""
LINE_BYTES = 16 << 10
"""Bytes after which a line is cut in two."""


class Log:
    """The log of one attempt."""

    def __init__(self, store: ObjectStore, kind: str, key: str, attempt: str) -> None:
        self._store, self._place = store, (kind, key, attempt)
        self._values = secret_values()
        self._lines: list[bytes] = []
        self._size = self._number = self._lost = 0
        self._since = 0.0
        self._closed = False
        self._changed = threading.Condition()
        self._reader: threading.Thread | None = None
        self._writer = threading.Thread(target=self._write_pieces, name="log", daemon=True)
        self._writer.start()

    def write(self, line: str) -> None:
        """Write one line, with or without its newline."""
        text = mask_secrets(line.rstrip("\n"), self._values) + "\n"
        sys.stdout.write(text)
        sys.stdout.flush()
        data = text.encode(errors="replace")
        with self._changed:
            if not self._lines:
                self._since = time.monotonic()
                self._changed.notify_all()  # the writer waits without an end while there is nothing to store
            self._lines.append(data)
            self._size += len(data)
            while self._size > MAX_WAITING_BYTES:
                self._size -= len(self._lines.pop(0))
                self._lost += 1
            if self._size >= PIECE_BYTES:
                self._changed.notify_all()

    def follow(self, pipe: IO[bytes]) -> None:
        """Write every line that comes out of `pipe`, until all processes have closed it."""

        def read() -> None:
            while line := pipe.readline(LINE_BYTES):
                self.write(line.decode(errors="replace"))

        self._reader = threading.Thread(target=read, name="output", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Store what is left, without waiting for processes that outlived their parent and still print."""
        if self._reader is not None:
            self._reader.join(timeout=5)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join(timeout=60)

    def _write_pieces(self) -> None:
        while True:
            with self._changed:
                while not self._closed and self._size < PIECE_BYTES:
                    due = self._since + STORE_SECONDS - time.monotonic() if self._lines else None
                    if due is not None and due <= 0:
                        break
                    self._changed.wait(due)
                data, self._lines, self._size = b"".join(self._lines), [], 0
                lost, self._lost = self._lost, 0
                closed = self._closed
            if data:
                self._put(data if not lost else b"(%d lines were lost here)\n" % lost + data, closed=closed)
            elif closed:
                return

    def _put(self, data: bytes, *, closed: bool) -> None:
        if self._number >= MAX_PIECES:
            return
        if self._number == MAX_PIECES - 1:
            data = data[:PIECE_BYTES] + b"\n(the log is too long: the rest was printed and is not kept)\n"
        try:
            self._store.create(piece_name(*self._place, self._number), data)
            self._number += 1
        except Unreachable as error:
            print(f"the log is not stored now: {error.message}", flush=True)
            if not closed:
                time.sleep(STORE_SECONDS)
                with self._changed:
                    self._lines.insert(0, data)
                    self._size += len(data)
