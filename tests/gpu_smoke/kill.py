"""`apply` in which one training is killed after its first checkpoint, as a node that dies would do it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.gpu_smoke.place import Place

LOOK_SECONDS = 0.02


def apply(place: Place) -> tuple[int, str | None]:
    """Exit code of the last, and the key of the training that was killed. The second goes on where the first ended."""
    command = place.command("apply", *place.arguments, "--no-report")
    child = subprocess.Popen(command, cwd=place.root)
    killed = None
    while child.poll() is None:
        if killed is None and (work := _saved_once(place)) is not None and _kill(work):
            killed = work.name
        time.sleep(LOOK_SECONDS)
    if killed is None:
        return child.returncode, None
    return subprocess.run(command, cwd=place.root, check=False).returncode, killed


def _saved_once(place: Place) -> Path | None:
    """The folder of an `sft` that runs and has one checkpoint or more."""
    store = place.root / ".c2f" / "store"
    for manifest in (store / "work" / "sft").glob("*/checkpoints/step-*/*/manifest.json"):
        work = manifest.parents[3]
        if not (store / "records" / "sft" / f"{work.name}.json").exists():
            return work
    return None


def _kill(work: Path) -> bool:
    """SIGKILL the supervisor that holds the stage's lock and all that it started; false if nobody holds it any more."""
    try:
        holder = int((work / "lock").read_text())
        family = [holder, *_below(holder)]
        for process in family:
            os.kill(process, signal.SIGSTOP)  # so that none sees another die
        for process in family:
            os.kill(process, signal.SIGKILL)
    except (OSError, ValueError):
        return False
    return True


def _below(process: int) -> list[int]:
    """What a process started, and what that started."""
    try:
        own = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, own) for each in (child, *_below(child))]
