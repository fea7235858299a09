"""What a stage is given: its section of the spec, verified inputs, a folder for outputs, and a way to tell progress."""

from __future__ import annotations

import os
import sys


def log_line(message: str) -> None:
    """One line of the stage's log."""
    try:
        print(message, flush=True)
    except BrokenPipeError:
        # The supervisor was killed. This process has its SIGTERM for that, and may still be saving.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def visible_rank() -> tuple[int, int]:
    """Rank and world size as torchrun tells them; alone, (0, 1)."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
