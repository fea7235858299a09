"""Clips that are needed soon, decoded by other processes meanwhile, in the order of need.

A worker puts what it made where `runtime.media.decoded_cache` keeps it and says no more than that it is done; what it could not
make the stage makes itself, and so meets the error when it needs the clip. So does it with what it needs before a worker has
started. Never more than `WINDOW` clips a worker are
asked for at once. A worker that dies, or that is at one clip for `HANG_SECONDS`, is an error that names the clip.

Workers are spawned, not forked, as in `runtime.process.parallel`. They import no torch, so they are at work within half a second and
take 90 MB each. SIGTERM and SIGINT are left to the stage, which may still be saving, and every end of the stage ends them.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from c2f_spec.errors import DataWrong, OutOfMemory, StageError
from runtime.media import decode
from runtime.process.parallel import available_cores, init_child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from c2f_spec.spec.sections import Media
    from runtime.media.decoded_cache import DecodedCache

WINDOW = 32
MAX_WORKERS = 4
"""Workers of one process of a stage (METHOD 8.4 asks for four CPUs a GPU)."""
HANG_SECONDS = 300.0
READY = ""
"""What a worker says before it is done with the first clip."""


@dataclass(frozen=True, slots=True)
class Task:
    """A clip to decode."""

    key: str
    path: Path
    lacks: tuple[str, ...]


Work = Callable[[Task], None]
"""What a worker does with each clip. Picklable."""


def decode_to_cache(media: Media, kept: DecodedCache, task: Task) -> None:
    """Unless it is there."""
    if not kept.path(task.key).is_file():
        kept.put(task.key, decode.clip(task.path, media, task.lacks))


def prefetch_workers() -> int:
    """Workers that this process of a stage may start: its share of the cores but the one that it needs itself."""
    share = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(0, min(MAX_WORKERS, share - 1))


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    tasks: deque[Task] = field(default_factory=deque)
    since: float = 0.0
    """When it began with the first of `asked`."""
    ready: bool = False
    """It has imported what it needs."""


class Prefetcher:
    """`expect` the clips in the order of need, then `take` each before it is read."""

    def __init__(self, work: Work, workers: int) -> None:
        self._workers = [_start_worker() for _ in range(workers)]
        for worker in self._workers:
            # Not as an argument of the process: one that dies over a long argument leaves its parent writing for ever.
            worker.pipe.send(work)
        self._order: list[Task] = []
        self._place: dict[str, int] = {}
        self._asked = 0
        """How much of the order was given to workers."""
        self._reached = 0
        atexit.register(self.close)  # before multiprocessing's own, which would wait for the workers

    def schedule(self, tasks: Sequence[Task]) -> None:
        """From now on these are needed, in this order; what was expected before is not."""
        self._order = list({task.key: task for task in tasks}.values())
        self._place = {task.key: number for number, task in enumerate(self._order)}
        self._asked = self._reached = 0
        self._send_tasks()

    def wait_for(self, task: Task) -> None:
        """Returns when no worker that has started is at `task` or has it before it. Raises `StageError` for a worker
        that is no more.
        """
        self._reached = max(self._reached, self._place.get(task.key, -1) + 1)
        self._send_tasks()
        while (worker := self._worker_of(task)) is not None:
            self._receive(worker)

    def close(self) -> None:
        """End the workers now, whatever they are at."""
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def _send_tasks(self) -> None:
        """Fill the window. Clips that other ranks take from the same order count as reached when a later one is."""
        end = min(len(self._order), self._reached + WINDOW * len(self._workers))
        for worker in self._workers:
            self._receive(worker, block=False)
        self._asked = max(self._asked, self._reached)
        while self._asked < end:
            worker = min(self._workers, key=lambda each: len(each.tasks))
            if len(worker.tasks) >= WINDOW:
                return
            task = self._order[self._asked]
            self._asked += 1
            if not worker.tasks:
                worker.since = time.monotonic()
            worker.tasks.append(task)
            try:
                worker.pipe.send(task)
            except OSError:
                self._raise_died(worker)

    def _worker_of(self, task: Task) -> _Worker | None:
        return next((w for w in self._workers if w.ready and any(t.key == task.key for t in w.tasks)), None)

    def _receive(self, worker: _Worker, *, block: bool = True) -> None:
        """Take note of what a worker has done; with `block`, wait until it has done something."""
        while worker.tasks:
            left = worker.since + HANG_SECONDS - time.monotonic()
            if not wait([worker.pipe, worker.process.sentinel], max(0.0, left) if block else 0.0):
                if left <= 0:
                    self._raise_hung(worker)
                return
            try:
                said = worker.pipe.recv()
            except (EOFError, OSError):
                self._raise_died(worker)
            if said == READY:
                worker.ready = True
            else:
                worker.tasks.popleft()
            worker.since = time.monotonic()
            block = False

    def _raise_hung(self, worker: _Worker) -> None:
        path = worker.tasks[0].path
        self.close()
        raise DataWrong(
            f"{path} was not decoded within {HANG_SECONDS:.0f} s",
            hint="replace the file, or try the other value of `media.decoder`",
        )

    def _raise_died(self, worker: _Worker) -> None:
        worker.process.join(5)
        code, path = worker.process.exitcode, worker.tasks[0].path if worker.tasks else None
        self.close()
        raise_worker_death(code, path)


def raise_worker_death(code: int | None, path: Path | None) -> None:
    """Raises what the end of a worker means."""
    at = f" at {path}" if path else ""
    if code is not None and code < 0 and -code not in (signal.SIGKILL, signal.SIGTERM):
        name = signal.Signals(-code).name
        raise DataWrong(
            f"the decoder crashed{at} ({name})",
            hint="replace the file, or try the other value of `media.decoder`",
        )
    if code is not None and code < 0:
        raise OutOfMemory(
            f"a process that decodes clips was killed{at}, as a machine does when memory runs out",
            hint="give the stage more memory or fewer cores, or lower `media.max_frames` or `media.max_pixels`",
        )
    raise RuntimeError(f"a process that decodes clips ended with {code}{at}; what it said stands above")


def _start_worker() -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_worker, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, since=time.monotonic())


def _run_worker(pipe: Connection) -> None:
    init_child()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work: Work = pipe.recv()
    pipe.send(READY)
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        with suppress(StageError):  # the stage meets it when it needs the clip
            work(task)
        pipe.send(task.key)
