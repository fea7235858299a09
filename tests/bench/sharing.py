"""What sharing stages saves of specs/paper.yaml: against every cell of the plan alone, and every row of the paper's tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from c2f_spec.cli.plan_output import format_range
from c2f_spec.cost.gpu_hours import total
from c2f_spec.keys import content_key
from c2f_spec.plan.compile import load_environment, load_variants
from c2f_spec.plan.costs import cells_alone, rows_alone, saved_share, with_costs
from c2f_spec.plan.keys import ExperimentSource, build_plan
from c2f_spec.plan.pins import Pins
from c2f_spec.spec.datasets import DATASETS
from tests.bench.measuring import ROOT

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan

LEAST = 0.65
"""Share of the GPU-hours, by the issue."""


def paper_plan() -> Plan:
    """On the shipped A800 cluster, with made-up digests of the data."""
    loaded = load_variants(ROOT / "specs" / "paper.yaml")
    sources = [ExperimentSource(item.experiment, item.source) for item in loaded]
    pins = Pins({name: content_key(name) for name in DATASETS})
    return with_costs(build_plan(sources, pins, load_environment("a800", ROOT, None), "a800"))


def main() -> None:
    plan = paper_plan()
    shared, counts = total(s.gpu_hours for s in plan.stages), plan.totals()
    print(
        f"specs/paper.yaml: {counts['instances']} stage instances, {counts['unique']} unique, {format_range(shared)} GPU-hours"
    )
    shares = []
    for what, parts in (
        ("cells of the plan", [hours for _, hours in cells_alone(plan)]),
        ("rows of the paper's tables", [hours for _, hours in rows_alone(plan)]),
    ):
        alone = total(parts)
        shares.append(saved_share(shared, alone))
        print(
            f"  {len(parts)} {what}, each alone: {format_range(alone)} GPU-hours; saved {shares[-1]:.0%} (at least {LEAST:.0%})"
        )
    if min(shares) < LEAST:
        sys.exit("too little is shared")
