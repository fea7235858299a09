"""SIGTERM and SIGINT in a worker: they raise `Stopped`, or request a stop from a training that saves first.

`runtime.process.worker` installs the handlers before a stage runs. `runtime.process.supervise` counts the grace period
and ends a worker that takes longer.
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
    """A flag for code that can stop at a better moment than at once."""

    requested = False
    message = "stopped by a signal"
    """The message of the `Stopped` that is raised, for the log."""


_open_requests: list[StopRequest] = []
"""Module state, since signals belong to the process."""


def install_handlers() -> None:
    """From now on a signal raises `Stopped`, or sets the request inside `deferred_stop`."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


@contextmanager
def deferred_stop() -> Iterator[StopRequest]:
    """Inside, a signal only sets the request; leaving then raises `Stopped` with its message."""
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
