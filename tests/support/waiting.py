"""Wait for what another thread or process does, however busy the machine is; or replace the time of a module."""

from __future__ import annotations

import time


def wait_until(condition, seconds=300):
    """Return the first true result of `condition()`; `seconds` only end a test that hangs."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "the condition was never true"
        time.sleep(0.01)
    return result


class Clock:
    """Stands for the module `time` in a module under test: `sleep` takes no time and moves the clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
