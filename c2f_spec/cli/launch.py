"""What a launch writes down before its first stage starts: the tree that it comes from."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec.execution import provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore


def launched(plan: Plan, objects: ObjectStore, root: Path, *, allow_dirty: bool) -> Plan:
    """The plan with its origin, which is in the store by then. `root` is the repository of the specs.

    Raises `Denied` where a cluster would run a tree that nobody else can fetch; this machine runs any.
    """
    plan, patch = with_origin(plan, root, allow_dirty=allow_dirty)
    assert plan.origin is not None
    provenance.save_origin(objects, plan.origin, patch)
    return plan


def with_origin(plan: Plan, root: Path, *, allow_dirty: bool) -> tuple[Plan, bytes]:
    """The same, before anything is written: the plan, and what its tree differs from its commit by."""
    origin, patch = provenance.read_origin(root, sys.argv[1:]), b""
    if plan.environment.requires_committed_tree:
        provenance.refuse_unpublished(origin, allow_dirty=allow_dirty)
    if allow_dirty and origin.commit and (origin.dirty or not origin.pushed):
        origin, patch = provenance.with_patch(origin, root)
    return replace(plan, origin=origin, _by_key={}), patch


# Ctrl-C while stages run: noted where it comes, heeded where the loop waits.
#
# Python raises `KeyboardInterrupt` wherever it happens to be, and in a destructor or in the middle of an import it is
# swallowed: the user would have asked for nothing.


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
