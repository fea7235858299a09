"""Heartbeats: a worker writes when it made a step and how long the next may take; its supervisor reads it.

The supervisor decides, not the worker: a thread of the worker could not run while a library that hangs holds the
interpreter. `beat-<rank>.json` in the folder `C2F_EXIT_DIR` has the worker's process id, the time of its last step
(CLOCK_MONOTONIC, which all processes of a machine share), and the seconds after which it counts as hung: ten times the
median step, or `hang_seconds` of the placement if that is more. There is no limit before the first step and after the
last, when models are loaded and results stored: the store's own deadlines bound that.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median

STACKS_SIGNAL = signal.SIGUSR1
"""Makes a worker write the stack of every thread to its log, from C: it works when Python does not."""
HANG_FACTOR = 10
"""A step hangs when it takes this many times the median."""
WINDOW = 101
"""Number of steps in the median."""
WRITE_SECONDS = 0.2
"""Seconds between two beats that are written to disk."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The last heartbeat of a worker."""

    rank: int
    pid: int
    at: float
    """Time of the last step, seconds of CLOCK_MONOTONIC."""
    limit: float | None
    """Seconds that the next step may take; no limit before the first step and after the last."""

    def overdue(self, now: float) -> float:
        """Return the seconds since the last step if they exceed the limit, else 0."""
        waited = now - self.at
        return waited if self.limit is not None and waited > self.limit else 0.0


class Heartbeat:
    """The heartbeats of one worker; without `C2F_EXIT_DIR` none is written."""

    def __init__(self, rank: int, least: float) -> None:
        folder = os.environ.get("C2F_EXIT_DIR")
        self._path = Path(folder, f"beat-{rank}.json") if folder else None
        self._rank, self._least = rank, least
        self._took: deque[float] = deque(maxlen=WINDOW)
        self._last: float | None = None
        self._written = 0.0

    def beat(self, *, last: bool = False) -> None:
        """Note that a step was made; `last` if none will follow."""
        now = time.monotonic()
        if self._last is not None:
            self._took.append(now - self._last)
        self._last = now
        if now - self._written >= WRITE_SECONDS or last:
            slow = HANG_FACTOR * median(self._took) if self._took else 0.0
            self._write(now, None if last else max(self._least, slow))

    def _write(self, now: float, limit: float | None) -> None:
        self._written = now
        if self._path is not None:
            _write(self._path, Beat(self._rank, os.getpid(), now, limit))


def register_worker(rank: int) -> None:
    """Write this worker's process id, and write stacks on `STACKS_SIGNAL`."""
    faulthandler.register(STACKS_SIGNAL, all_threads=True)
    _write(
        Path(os.environ["C2F_EXIT_DIR"], f"beat-{rank}.json"), Beat(rank, os.getpid(), time.monotonic(), None)
    )


def read_beats(folder: Path) -> list[Beat]:
    """Return the last heartbeat of every worker that wrote one."""
    return [Beat(**json.loads(path.read_text())) for path in sorted(folder.glob("beat-*.json"))]


def _write(path: Path, beat: Beat) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"rank": beat.rank, "pid": beat.pid, "at": beat.at, "limit": beat.limit}))
    part.replace(path)
