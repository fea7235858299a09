"""SIGTERM and SIGINT: they end a stage where it stands, or ask one that trains to save first.

How long a stage may take to stop is not its own business: `runtime.process.supervise` counts the grace period and ends it.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from c2f_spec.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Somebody who can stop at a better moment looks here."""

    requested = False
    message = "stopped by a signal"
    """For the log."""


_open_requests: list[StopRequest] = []
"""Signals belong to the process, and so does who waits for them."""


def install_handlers() -> None:
    """From now on a signal raises `Stopped`, or is a request inside `deferred`."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


@contextmanager
def deferred_stop() -> Iterator[StopRequest]:
    """Inside, a signal only makes the request; leaving then raises `Stopped` with its answer."""
    request = StopRequest()
    _open_requests.append(request)
    try:
        yield request
    finally:
        _open_requests.remove(request)
    if request.requested:
        raise Stopped(request.message)


def _on_signal(_number: int, _frame: object) -> None:
    if _open_requests:
        _open_requests[-1].requested = True
        return
    # A second signal must not interrupt what is done about the first one.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped(StopRequest.message)
