"""What sharing stages saves of specs/paper.yaml: against every cell of the plan alone, and every row of the paper's tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.forms.hours import span
from c2f_spec.cost.model import GpuHours, total
from c2f_spec.keys import content_key
from c2f_spec.plan.build import Given, build
from c2f_spec.plan.compile import load_environment, load_variants
from c2f_spec.plan.costs import cells_alone, saved, with_costs
from c2f_spec.plan.pins import Pins
from c2f_spec.report.paper import RUNS, printed
from c2f_spec.spec.datasets import DATASETS

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan

ROOT = Path(__file__).parents[2]
LEAST = 0.65
"""Share of the GPU-hours, by the issue."""
ROWS = {
    "Qwen2.5-Omni": ("direct", "sft"),
    "C2F-Thinker(MOSI)": ("", "grpo"),
    "C2F-Thinker(SIMS)": ("", "grpo"),
    "CoT(Zero-shot)": ("zero-shot", "base"),
    "CoT(SFT)": ("no-rl", "sft"),
    "CoT(SFT+RL)": ("", "grpo"),
    "w/o Hint": ("no-hint", "grpo"),
    "w/ Hint": ("", "grpo"),
    "w/o Hard": ("no-hard", "grpo"),
    "w/ Hard": ("", "grpo"),
}
"""Rows that this project can run → variant of specs/paper.yaml (nothing: the trained set's own) and checkpoint."""


def paper_plan() -> Plan:
    """On the shipped A800 cluster, with made-up digests of the data."""
    loaded = load_variants(ROOT / "specs" / "paper.yaml")
    sources = [Given(item.experiment, item.source) for item in loaded]
    pins = Pins({name: content_key(name) for name in DATASETS})
    return with_costs(build(sources, pins, load_environment("a800", ROOT, None), "a800"))


def rows_alone(plan: Plan) -> list[GpuHours]:
    """Each row of the paper's tables that can be run here, with all its ancestors."""
    alone = dict(cells_alone(plan))
    found = []
    for row in printed():
        if row["model"] not in RUNS:
            continue
        variant, checkpoint = ROWS[row["model"]]
        base = "mosi" if row["train"] == "cmu-mosi" else "sims"
        name = f"paper-direct-{base}" if variant == "direct" else f"paper-{variant or base}"
        label = f"evaluate {checkpoint} on {row['test']}"
        found += [h for (v, key), h in alone.items() if v == name and plan.stage(key).label == label]
    return found


def main() -> None:
    plan = paper_plan()
    shared, counts = total(s.gpu_hours for s in plan.stages), plan.totals()
    print(
        f"specs/paper.yaml: {counts['instances']} stage instances, {counts['unique']} unique, {span(shared)} GPU-hours"
    )
    shares = []
    for what, parts in (
        ("cells of the plan", [hours for _, hours in cells_alone(plan)]),
        ("rows of the paper's tables", rows_alone(plan)),
    ):
        alone = total(parts)
        shares.append(saved(shared, alone))
        print(
            f"  {len(parts)} {what}, each alone: {span(alone)} GPU-hours; saved {shares[-1]:.0%} (at least {LEAST:.0%})"
        )
    if min(shares) < LEAST:
        sys.exit("too little is shared")
