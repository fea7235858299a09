"""What copies of data sets and models the store holds: asked only for names without a pin, and never `--offline`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.plan.pins import Need, Staged
    from c2f_spec.store.objects import Objects


def staged_copies(objects: Objects, needed: Iterable[Need]) -> Staged:
    """Digests of the staged copies, by name."""
    present = {"datasets": records.datasets_present, "models": records.models_present}
    return {need.name: present[need.section](objects, need.name) for need in needed}
