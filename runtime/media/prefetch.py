"""Processes that decode the clips that a stage needs soon, in the order of need.

A worker writes a decoded clip into `runtime.media.decoded_cache` and reports that it is done. A clip that it cannot decode is
decoded by the stage itself, which then gets the error when it needs the clip; so is a clip that is needed before a worker
has started. Each worker has at most `WINDOW` clips to do. A worker that dies, or that takes `HANG_SECONDS` for a clip, is an
error that names the clip.

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

from c2f_spec.errors import InvalidData, OutOfMemory, StageError
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
"""Clips that a worker has to do at most."""
MAX_WORKERS = 4
"""Workers of one process of a stage at most (METHOD 8.4: four CPUs a GPU)."""
HANG_SECONDS = 300.0
READY = ""
"""Message of a worker that is ready for its first clip."""


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """A clip to decode."""

    key: str
    path: Path
    lacks: tuple[str, ...]


Work = Callable[[DecodeTask], None]
"""Function of a worker for each clip. It must be picklable."""


def decode_to_cache(media: Media, cache: DecodedCache, task: DecodeTask) -> None:
    """Decode a clip into the cache, unless it is there."""
    if not cache.path(task.key).is_file():
        cache.put(task.key, decode.clip(task.path, media, task.lacks))


def prefetch_workers() -> int:
    """Return the workers that this process of a stage may start: its share of the cores, less the one it needs itself."""
    share = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(0, min(MAX_WORKERS, share - 1))


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    tasks: deque[DecodeTask] = field(default_factory=deque)
    since: float = 0.0
    """Time at which it began the first of `tasks`."""
    ready: bool = False
    """Whether it has imported what it needs."""


class Prefetcher:
    """A pool of workers. `schedule` the clips in the order of need, then `wait_for` each before it is read."""

    def __init__(self, work: Work, workers: int) -> None:
        self._workers = [_start_worker() for _ in range(workers)]
        for worker in self._workers:
            # Not as an argument of the process: one that dies over a long argument leaves its parent writing for ever.
            worker.pipe.send(work)
        self._order: list[DecodeTask] = []
        self._place: dict[str, int] = {}
        self._sent = 0
        """Clips of the order that were sent to workers."""
        self._needed = 0
        """Clips of the order that the stage has needed so far."""
        atexit.register(self.close)  # before multiprocessing's own, which would wait for the workers

    def schedule(self, tasks: Sequence[DecodeTask]) -> None:
        """Decode these from now on, in this order, instead of those scheduled before."""
        self._order = list({task.key: task for task in tasks}.values())
        self._place = {task.key: number for number, task in enumerate(self._order)}
        self._sent = self._needed = 0
        self._send_tasks()

    def wait_for(self, task: DecodeTask) -> None:
        """Wait until no worker that has started has `task` to do. Raises `StageError` if a worker died or hangs."""
        self._needed = max(self._needed, self._place.get(task.key, -1) + 1)
        self._send_tasks()
        while (worker := self._worker_of(task)) is not None:
            self._receive(worker)

    def close(self) -> None:
        """Kill the workers now."""
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def _send_tasks(self) -> None:
        """Fill the window. A clip that another rank reads from the same order counts as needed when a later one is."""
        end = min(len(self._order), self._needed + WINDOW * len(self._workers))
        for worker in self._workers:
            self._receive(worker, block=False)
        self._sent = max(self._sent, self._needed)
        while self._sent < end:
            worker = min(self._workers, key=lambda each: len(each.tasks))
            if len(worker.tasks) >= WINDOW:
                return
            task = self._order[self._sent]
            self._sent += 1
            if not worker.tasks:
                worker.since = time.monotonic()
            worker.tasks.append(task)
            try:
                worker.pipe.send(task)
            except OSError:
                self._raise_died(worker)

    def _worker_of(self, task: DecodeTask) -> _Worker | None:
        return next((w for w in self._workers if w.ready and any(t.key == task.key for t in w.tasks)), None)

    def _receive(self, worker: _Worker, *, block: bool = True) -> None:
        """Receive which clips a worker has done; with `block`, wait until it has done one."""
        while worker.tasks:
            left = worker.since + HANG_SECONDS - time.monotonic()
            if not wait([worker.pipe, worker.process.sentinel], max(0.0, left) if block else 0.0):
                if left <= 0:
                    self._raise_hung(worker)
                return
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._raise_died(worker)
            if message == READY:
                worker.ready = True
            else:
                worker.tasks.popleft()
            worker.since = time.monotonic()
            block = False

    def _raise_hung(self, worker: _Worker) -> None:
        path = worker.tasks[0].path
        self.close()
        raise InvalidData(
            f"timed out: {path} was not decoded within {HANG_SECONDS:.0f} s",
            hint="replace the file, or try the other value of `media.decoder`",
        )

    def _raise_died(self, worker: _Worker) -> None:
        worker.process.join(5)
        code, path = worker.process.exitcode, worker.tasks[0].path if worker.tasks else None
        self.close()
        raise_worker_death(code, path)


def raise_worker_death(code: int | None, path: Path | None) -> None:
    """Raise the error that the exit code of a worker means."""
    at = f" at {path}" if path else ""
    if code is not None and code < 0 and -code not in (signal.SIGKILL, signal.SIGTERM):
        name = signal.Signals(-code).name
        raise InvalidData(
            f"the decoder crashed{at} ({name})",
            hint="replace the file, or try the other value of `media.decoder`",
        )
    if code is not None and code < 0:
        raise OutOfMemory(
            f"a process that decodes clips was killed{at}, as a machine does when memory runs out",
            hint="give the stage more memory or fewer cores, or lower `media.max_frames` or `media.max_pixels`",
        )
    raise RuntimeError(f"a process that decodes clips ended with {code}{at}; its error is in the log above")


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
            task: DecodeTask = pipe.recv()
        except (EOFError, OSError):
            return
        with suppress(StageError):  # the stage gets it when it needs the clip
            work(task)
        pipe.send(task.key)
