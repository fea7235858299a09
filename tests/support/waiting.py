"""Wait for what another thread or process does, however busy the machine is."""

from __future__ import annotations

import time


def wait_until(condition, seconds=300):
    """Return the first true result of `condition()`; `seconds` only end a test that hangs."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "the condition was never true"
        time.sleep(0.01)
    return result
