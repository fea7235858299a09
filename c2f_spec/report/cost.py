"""Sum up time, memory and GPU-hours of stages from their records. There is no other clock here."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from c2f_spec.report.report_data import Bar, KindCost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Plan
    from c2f_spec.report.outputs import Output, Outputs


def timeline(plan: Plan, outputs: Outputs) -> tuple[Bar, ...]:
    """Return the stages whose record has a start, in the order of their starts."""
    started = [
        (start, o) for o in (outputs.output(s.key) for s in plan.stages) if (start := _started(o)) is not None
    ]
    if not started:
        return ()
    first = min(start for start, _ in started)
    bars = (
        Bar(o.stage.label, o.stage.kind, start - first, start - first + _seconds(o)) for start, o in started
    )
    return tuple(sorted(bars, key=lambda bar: (bar.start, bar.end, bar.label)))


def costs(plan: Plan, outputs: Outputs) -> tuple[KindCost, ...]:
    """Return the cost of each kind of stage, in the order of the plan."""
    shared = Counter(key for variant in plan.variants for key in variant.stages)
    kinds = dict.fromkeys(stage.kind for stage in plan.stages)
    return tuple(
        _cost(kind, [outputs.output(s.key) for s in plan.stages if s.kind == kind], shared) for kind in kinds
    )


def _cost(kind: str, outputs: list[Output], shared: Counter[str]) -> KindCost:
    done = [o for o in outputs if o.record is not None]
    peaks = [float(peak) for o in done if (peak := o.provenance.get("peak_mb"))]
    measured = [o.provenance.get("measured") or {} for o in done]
    gpus, tokens = (
        [float(m[name]) for m in measured if m.get(name)] for name in ("peak_gpu_bytes", "tokens_per_second")
    )
    return KindCost(
        kind=kind,
        stages=len(outputs),
        done=len(done),
        seconds=sum(map(_seconds, done)),
        gpu_hours=sum(_seconds(o) * _gpus(o) for o in done) / 3600,
        peak_mb=max(peaks, default=None),
        unshared=sum(_seconds(o) * shared[o.stage.key] for o in done),
        gpu_mb=max(gpus) / 1e6 if gpus else None,
        tokens_per_second=median(tokens) if tokens else None,
    )


def _seconds(output: Output) -> float:
    return float(sum((output.provenance.get("seconds") or {}).values()))


def _gpus(output: Output) -> int:
    placement = (output.provenance.get("ran") or {}).get("placement") or {}
    return int(placement.get("gpus") or 0) * int(placement.get("nodes") or 1)


def _started(output: Output) -> float | None:
    started = output.provenance.get("started")
    try:
        return datetime.fromisoformat(str(started)).timestamp() if started else None
    except ValueError:
        return None


def total(kinds: Sequence[KindCost]) -> KindCost:
    """Return the cost of all kinds together; peaks are the largest, and rates of tokens do not add up."""
    return KindCost(
        kind="all",
        stages=sum(c.stages for c in kinds),
        done=sum(c.done for c in kinds),
        seconds=sum(c.seconds for c in kinds),
        gpu_hours=sum(c.gpu_hours for c in kinds),
        peak_mb=max((c.peak_mb for c in kinds if c.peak_mb is not None), default=None),
        unshared=sum(c.unshared for c in kinds),
        gpu_mb=max((c.gpu_mb for c in kinds if c.gpu_mb is not None), default=None),
    )
