"""What measurements share: a folder to work in, whole processes, times, and how a measurement ends."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[2]


@contextmanager
def temporary_folder(prefix: str = "bench-") -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)


def c2f(*argv: str) -> list[str]:
    """Return the command line of a process of `c2f-spec`."""
    return [sys.executable, "-m", "c2f_spec", *argv]


class ProcessTime(NamedTuple):
    """Seconds of one process, on the clock and of the processors."""

    seconds: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.cpu:.2f} s CPU"


def median_of_processes(folder: Path, rounds: int, *argv: str) -> tuple[ProcessTime, str]:
    """Run a `c2f-spec` command so often in a folder; return its median times and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    times = []
    for _ in range(rounds):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            c2f(*argv), cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        times.append(ProcessTime(seconds, cpu))
    seconds, cpu = (sorted(each)[rounds // 2] for each in zip(*times, strict=True))
    return ProcessTime(seconds, cpu), done.stdout


def seconds_of(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def exit_with(errors: Iterable[str]) -> None:
    """Print the errors and end the process: with 1 if there are any."""
    errors = list(errors)
    print("\n".join(errors))
    sys.exit(1 if errors else 0)
