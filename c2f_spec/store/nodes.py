"""Machines that failed a stage, remembered in its failures: its next attempt goes elsewhere.

A failure with `node` and `hardware` was the machine's doing. It is forgiven without anybody's asking, as often as
`MOVES`: then it is the stage, or the whole pool, and somebody should look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import MEANING, StageExit
from c2f_spec.store import records

if TYPE_CHECKING:
    from c2f_spec.store.objects import Objects

MOVES = 3
"""Attempts that one stage makes on other machines by itself."""


def avoided(objects: Objects, kind: str, key: str) -> tuple[str, ...]:
    """Machines that had a fault under this stage, the first one first."""
    found = records.failures(objects, kind, key)
    return tuple(dict.fromkeys(str(f["node"]) for f in found if f.get("hardware") and f.get("node")))


def add_fault(objects: Objects, kind: str, key: str, *, pod: str, node: str, what: str, line: str) -> None:
    """Remember that `node` failed the pod with the uid `pod`; once, however often it is seen."""
    if any(f.get("pod") == pod for f in records.failures(objects, kind, key)):
        return
    failure = {
        "code": int(StageExit.TRANSIENT),
        "class": MEANING[StageExit.TRANSIENT],
        "message": f"{what}, on the node {node}",
        "hint": f"its next attempt avoids the node; tell who runs it: {line[:200]}",
        "hardware": what,
        "node": node,
        "pod": pod,
    }
    records.add_failure(objects, kind, key, failure)


def forgive_fault(objects: Objects, kind: str, key: str) -> bool:
    """Whether a failed stage gets another attempt because its last failure was a machine's."""
    found = records.failures(objects, kind, key)
    faults = sum(bool(f.get("hardware")) for f in found)
    if not found or not found[-1].get("hardware") or faults > MOVES:
        return False
    records.retry(objects, kind, key)
    return True
