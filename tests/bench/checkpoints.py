"""What checkpoints every 20 steps cost training, with a store that takes longer for one than 20 steps do.

Runs without and with checkpoints alternate, so that whatever else the machine does falls on both; the ratio is the
median over pairs, in CPU seconds of the whole process and in wall seconds of the training loop.
"""

from __future__ import annotations

import io
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any

from c2f_spec.spec.handoff import Placement
from c2f_spec.spec.resources import Checkpoints
from runtime.stages import sft
from runtime.training import checkpoint_callback
from tests.bench.measuring import temporary_folder
from tests.support import omni

EVERY, STEPS, PAIRS = 20, 80, 5
MOST = 1.03
STUDENT = {"kind": "tiny", "hidden": 64, "layers": 2}
"""The demonstration's."""


class SlowStore:
    """A store that stands still for a while before it takes a folder."""

    def __init__(self, objects: Any, seconds: float) -> None:
        self._objects, self._seconds = objects, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def put_folder(self, *arguments: Any) -> Any:
        time.sleep(self._seconds)
        return self._objects.put_folder(*arguments)


def main() -> None:
    with temporary_folder() as folder:
        train(folder / "warm", 10 * STEPS, 0.0)
        upload = 1.5 * EVERY * train(folder / "pace", 10 * STEPS, 0.0)["wall"] / STEPS
        pairs = []
        for n in range(PAIRS):
            without = train(folder / f"without-{n}", 10 * STEPS, upload)
            with_them = train(folder / f"with-{n}", EVERY, upload)
            pairs.append((without, with_them))
    ratio = {unit: median(b[unit] / a[unit] for a, b in pairs) for unit in ("cpu", "wall")}
    stall = median(b["stall"] / b["saves"] for _, b in pairs)
    print(
        f"{STEPS} steps of sft, {median(a['wall'] for a, _ in pairs):.1f} s without checkpoints; "
        f"one every {EVERY} steps, each upload takes {upload:.1f} s, longer than the {upload / 1.5:.1f} s between two"
    )
    print(f"training waits {1000 * stall:.1f} ms for each of {pairs[0][1]['saves']} snapshots")
    print(
        f"with / without, median of {PAIRS} pairs: CPU {ratio['cpu']:.3f}, wall {ratio['wall']:.3f}; at most {MOST}"
    )
    if max(ratio.values()) > MOST:
        sys.exit(1)


def train(folder: Path, every: int, upload: float) -> dict[str, float]:
    """CPU and wall seconds of a training loop, and what it waited for snapshots."""
    section = {"steps": STEPS, "batch": 4, "learning_rate": 1e-3}
    placement = Placement(checkpoints=Checkpoints(every=every))
    ctx = omni.sft_context(folder, placement=placement, student=STUDENT, sft=section)
    ctx.store = SlowStore(ctx.store, upload)
    spent = {"cpu": 0.0, "wall": 0.0, "stall": 0.0, "saves": 0}

    def timed(owner: Any, name: str, wall: str, cpu: str | None = None, count: str | None = None) -> Any:
        original = getattr(owner, name)

        def run(*arguments: Any, **named: Any) -> Any:
            began, busy = time.perf_counter(), time.process_time()
            try:
                return original(*arguments, **named)
            finally:
                spent[wall] += time.perf_counter() - began
                if cpu:
                    spent[cpu] += time.process_time() - busy
                if count:
                    spent[count] += 1

        setattr(owner, name, run)
        return lambda: setattr(owner, name, original)

    undo = [
        timed(sft, "train", "wall", "cpu"),
        timed(checkpoint_callback.CheckpointCallback, "save", "stall", None, "saves"),
    ]
    try:
        with redirect_stdout(io.StringIO()):
            sft.run(ctx)
    finally:
        for each in undo:
            each()
    return spent
