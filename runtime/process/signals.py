"""SIGTERM and SIGINT in a worker: they raise `Stopped`, or request a stop from a training that saves first.

`runtime.process.worker` installs the handlers before a stage runs. `runtime.process.workers` counts the grace period and
ends a worker that takes longer. Every child process also gets SIGTERM when its parent dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from c2f_spec.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator


SIGNALS = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


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


def end_with_parent() -> None:
    """Ask for SIGTERM when the parent process dies, however it dies; send it now if the parent is dead already.

    `C2F_PARENT` is the parent's process id. Linux only; elsewhere it does nothing.
    """
    request_sigterm_at_parent_death()
    if os.getppid() != int(os.environ.get("C2F_PARENT", os.getppid())):
        os.kill(os.getpid(), signal.SIGTERM)


def request_sigterm_at_parent_death() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
