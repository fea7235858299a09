"""What a worker of `runtime.media.prefetch` does in tests: by the name of the file. Imports little, so that it starts soon."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from c2f_spec.errors import InvalidData

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.media.prefetch import DecodeTask


def odd_work(folder: Path, task: DecodeTask) -> None:
    """Leaves a file, or does not come to it."""
    name = task.path.name
    if name in ("crash", "killed"):
        os.kill(os.getpid(), signal.SIGSEGV if name == "crash" else signal.SIGKILL)
    if name == "hang":
        time.sleep(600)
    if name == "bad":
        raise InvalidData("it cannot be decoded")
    if name == "broken":
        raise AssertionError("a bug")
    (folder / name).touch()
