"""What a launch writes down before its first stage starts: the tree that it comes from."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec import provenance

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.plan.model import Plan
    from c2f_spec.store.objects import Objects


def launched(plan: Plan, objects: Objects, root: Path, *, allow_dirty: bool) -> Plan:
    """The plan with its origin, which is in the store by then. `root` is the repository of the specs.

    Raises `Denied` where a cluster would run a tree that nobody else can fetch; this machine runs any.
    """
    plan, patch = with_origin(plan, root, allow_dirty=allow_dirty)
    assert plan.origin is not None
    provenance.save_origin(objects, plan.origin, patch)
    return plan


def with_origin(plan: Plan, root: Path, *, allow_dirty: bool) -> tuple[Plan, bytes]:
    """The same, before anything is written: the plan, and what its tree differs from its commit by."""
    origin, patch = provenance.origin_of(root, sys.argv[1:]), b""
    if plan.environment.kind == "kubernetes":
        provenance.refuse_unpublished(origin, allow_dirty=allow_dirty)
    if allow_dirty and origin.commit and (origin.dirty or not origin.pushed):
        origin, patch = provenance.with_patch(origin, root)
    return replace(plan, origin=origin, _by_key={}), patch
