"""When the next request may be sent: so many a minute, and none while the endpoint asks for a pause."""

from __future__ import annotations

import threading
import time


class Pace:
    """Shared by the threads of a client."""

    def __init__(self, per_minute: float | None) -> None:
        self._between = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is this request's turn."""
        while True:
            with self._lock:
                now = time.monotonic()
                if self._next <= now:
                    self._next = now + self._between
                    return
                left = self._next - now
            time.sleep(left)

    def pause(self, seconds: float) -> None:
        """Nobody sends for so long: what one request was told holds for all."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)
