"""What a stage carries for the ledger: for whom it runs, and what it was reckoned to take."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from c2f_spec.spec.ledger import Account

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Stage


def account_of(plan: Plan, stage: Stage) -> Account:
    """Of a stage of a plan that was launched; a plan that is only looked at is for whoever looks."""
    needed_by = next(v for v in plan.variants if stage.key in v.stages)
    load, hours = stage.load, stage.gpu_hours
    return Account(
        user=plan.origin.author if plan.origin else getpass.getuser(),
        project=needed_by.experiment.project,
        plan=plan.digest,
        pool=stage.placement.pool or "",
        gpus=load.gpus,
        low=hours.low,
        high=hours.high,
        basis=hours.basis,
        start_seconds=load.start,
        work_seconds=load.work,
        shape=load.shape,
    )
