"""Training killed at random moments in {SFT, GRPO} x {SIGKILL, SIGTERM} x {file, S3}; exit 1 if a bit differs.

`FAULTS=n` multiplies the moments.
"""

from __future__ import annotations

import io
import os
import random
import signal
import time
from contextlib import redirect_stdout
from statistics import median

from tests.bench.measuring import exit_with, temporary_folder
from tests.support import omni
from tests.support.killed import EVERY, STEPS, Cell, Stand, disturb, together
from tests.support.servers import BUCKET, seaweed

MOMENTS = 4
"""In each of eight cells."""


def main() -> None:
    times = int(os.environ.get("FAULTS", "1"))
    seed = int(os.environ.get("SEED", str(int(time.time()))))
    rng, began = random.Random(seed), time.monotonic()
    cells: list[Cell] = []
    print(f"seed {seed}; checkpoints every {EVERY} steps of {STEPS}")
    print(
        f"{'training':<16} {'signal':<8} {'store':<5} {'moments':>7} {'in training':>11} {'redone':>14} {'bit-identical':>14}"
    )
    with redirect_stdout(io.StringIO()):
        inputs = {"prepare": omni.prepared(), "chains": omni.chains(), "start": omni.skilled()}
    with temporary_folder() as folder, seaweed(folder / "weed") as server:
        os.environ.update(server.env, C2F_HOME=str(folder / "home"))
        for store, url in (("file", str(folder / "store")), ("S3", f"s3://{BUCKET}/killed")):
            (folder / store).mkdir()
            stand = Stand(folder / store, url, inputs)
            for kind, tuner in (("sft", "full"), ("grpo", "full")):
                for number in (signal.SIGKILL, signal.SIGTERM):
                    cell = disturb(stand, kind, number, MOMENTS * times, rng, tuner)
                    print_row(kind, number.name, store, cell)
                    cells.append(cell)
            cells.append(together(stand, "sft"))
            print_row("sft, 2 processes", "both", store, cells[-1])
    moments, wrong = sum(len(cell.kills) for cell in cells), [line for cell in cells for line in cell.wrong]
    print(f"{moments} moments in {time.monotonic() - began:.0f} s; wrong: {len(wrong)}")
    exit_with(wrong)


def print_row(kind: str, signals: str, store: str, cell: Cell) -> None:
    inside = sum(0 < kill.reached < STEPS[kind.split(",", maxsplit=1)[0]] for kill in cell.kills)
    redone = sorted(kill.redone for kill in cell.kills)
    print(
        f"{kind:<16} {signals:<8} {store:<5} {len(cell.kills):>7} {inside:>11} "
        f"{f'{median(redone):g}, most {redone[-1]}':>14} {f'{cell.identical} of {cell.runs}':>14}",
        flush=True,
    )
