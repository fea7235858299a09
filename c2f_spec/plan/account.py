"""Whose hours stages are, and what they were reckoned to take: what the ledger says of their attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.spec.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.plan.model import Plan, Stage

NOBODY = "unknown"
"""The user of a plan without an origin: one that Git's owner launches (`render --gitops`)."""


def accounts_of(plan: Plan, stages: Iterable[Stage]) -> dict[tuple[str, str], Account]:
    """By kind and key. A stage that several experiments need is on the account of the first one's project."""
    variants = {v.name: v for v in plan.variants}
    user, digest = plan.origin.author if plan.origin else NOBODY, plan.digest
    return {
        (s.kind, s.key): _account(s, variants[s.variants[0]].experiment.project, user, digest) for s in stages
    }


def _account(stage: Stage, project: str, user: str, digest: str) -> Account:
    load, hours = stage.load, stage.gpu_hours
    return Account(
        user=user,
        project=project,
        plan=digest,
        pool=stage.placement.pool or "",
        gpus=load.gpus,
        low=hours.low,
        high=hours.high,
        basis=hours.basis,
        start_seconds=load.start,
        work_seconds=load.work,
        shape=load.shape,
    )
