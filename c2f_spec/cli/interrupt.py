"""Ctrl-C while stages run: noted where it comes, heeded where the loop waits.

Python raises `KeyboardInterrupt` wherever it happens to be, and in a destructor or in the middle of an import it is
swallowed: the user would have asked for nothing.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noted() -> Iterator[Callable[[], None]]:
    """A function that raises `KeyboardInterrupt` if a signal to stop has come. A second one is not waited with."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        for each in NUMBERS:
            signal.signal(each, signal.default_int_handler)

    def heed() -> None:
        if received:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in NUMBERS}
    try:
        yield heed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
