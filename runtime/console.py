"""The log line and the rank, for every module of the runtime."""

from __future__ import annotations

import os
import sys


def log_line(message: str) -> None:
    """Write one line to the stage's log, which is this process's stdout."""
    try:
        print(message, flush=True)
    except BrokenPipeError:
        # The supervisor was killed. This process got a SIGTERM for that, and may still be saving.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def visible_rank() -> tuple[int, int]:
    """Return rank and world size as torchrun sets them; without torchrun (0, 1)."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
