"""Clips a second: drawing and encoding, and the stage that does it, on all cores of this machine."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from runtime.media.speaker import render
from runtime.process.parallel import map_processes
from tests.bench.measuring import temporary_folder

if TYPE_CHECKING:
    from pathlib import Path

CLIPS = 600


def main() -> None:
    with temporary_folder() as folder:
        start = time.perf_counter()
        made = sum(1 for _ in map_processes(partial(draw, folder), list(range(CLIPS))))
        seconds = time.perf_counter() - start
    cores = len(os.sched_getaffinity(0))
    print(f"rendering: {made} clips in {seconds:.1f} s on {cores} cores, {made / seconds:.0f} clips a second")


def draw(folder: Path, number: int) -> None:
    render(folder / f"{number}.mp4", (number % 81) / 10 - 4, seed=0, clip=str(number))
