"""GPU-hours for people: ranges with what they are known from, and what sharing saves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cost.gpu_hours import GpuHours, Load
from c2f_spec.cost.site import prices_of
from c2f_spec.cost.sizes import GIB
from c2f_spec.plan.costs import TO_RUN, totals

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan


def told(hours: GpuHours) -> str:
    """`6.0-9.5 scaled (n=3)`; nothing for a stage without GPUs."""
    count = f" (n={hours.measured})" if hours.measured else ""
    return f"{span(hours)} {hours.basis}{count}" if hours.high else ""


def memory(load: Load) -> str:
    """`4 x 31`: GPUs, and the peak of each; with `measured` where stages of this size were."""
    if not load.gpus or not load.memory:
        return ""
    peak = f"{load.peak / GIB:.0f} measured" if load.peak else f"{load.memory / GIB:.0f}"
    return f"{load.gpus} x {peak}"


def span(hours: GpuHours) -> str:
    """`6.0-9.5`: as many digits as a range deserves."""
    low, high = _short(hours.low), _short(hours.high)
    return low if low == high else f"{low}-{high}"


def summary(plan: Plan) -> list[str]:
    """`18-83 GPU-hours to run, estimated`, and what sharing saves; nothing where there are no GPUs."""
    found = totals(plan)
    shared, to_run, alone = (
        GpuHours(**found[name]) for name in ("gpu_hours_shared", "gpu_hours", "gpu_hours_unshared")
    )
    if not shared.high:
        return []
    parts = [f"{span(to_run)} GPU-hours to run{f', {to_run.basis}' if to_run.high else ''}{_price(plan)}"]
    if found["saved"]:
        parts.append(f"sharing saves {found['saved']:.0%} of the {span(alone)} that each result alone takes")
    return parts


def _price(plan: Plan) -> str:
    """` at 216-996`, in the site's currency; nothing unless every pool that would run something has a price."""
    prices = prices_of(plan.environment)
    to_run = [s for s in plan.stages if s.action in TO_RUN and s.gpu_hours.high]
    if not to_run or any((s.placement.pool or "") not in prices for s in to_run):
        return ""
    ends = (
        sum(getattr(s.gpu_hours, end) * prices[s.placement.pool or ""] for s in to_run)
        for end in ("low", "high")
    )
    return " at " + "-".join(f"{end:,.0f}" for end in ends)


def _short(hours: float) -> str:
    return (
        "0"
        if not hours
        else f"{hours:.0f}"
        if hours >= 10
        else f"{hours:.1f}"
        if hours >= 0.1
        else f"{hours:.2f}"
    )
