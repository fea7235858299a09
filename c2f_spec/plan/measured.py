"""`Plan` → `Plan` whose GPU-hours are what the ledger's stages took, where it has any that tell; and what estimates were worth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec.cost.calibrate import calibrated, observed, with_peak
from c2f_spec.store import ledger

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.ledger import Entry
    from c2f_spec.store.objects import Objects

ENOUGH = 64
"""Entries of other stages of a kind that are read: enough to know what a kind of stage takes."""


def with_measured(plan: Plan, objects: Objects) -> Plan:
    """Asks nothing of the store for a plan without GPUs."""
    kinds = {s.kind for s in plan.stages if s.load.gpus}
    if not kinds:
        return plan
    entries = ledger.sample(objects, kinds, {s.key for s in plan.stages}, ENOUGH)
    seen = observed(entries)
    own = {e.key: e for e in entries if e.committed}
    stages = tuple(
        _told(replace(s, gpu_hours=calibrated(s.load, seen), load=with_peak(s.load, seen)), own.get(s.key))
        if s.load.gpus
        else s
        for s in plan.stages
    )
    return replace(plan, stages=stages, _by_key={})


def _told(stage: Stage, own: Entry | None) -> Stage:
    """A stored stage says what it took, and what had been estimated."""
    if own is None or stage.action != "reuse" or stage.reason:
        return stage
    took = own.account.gpus * own.seconds / 3600
    account = own.account
    reason = f"took {took:.1f} GPU-hours, {account.basis} before as {account.low:.1f}-{account.high:.1f}"
    return replace(stage, reason=reason)
