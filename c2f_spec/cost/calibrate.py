"""Replace estimates by measurements: of stages of the same size, else scaled from others of the same shape.

What is replaced is the work. The start stays an estimate: the image was pulled and the pod placed before anything of
ours could measure it.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cost.gpu_hours import NOTHING, START_TRUST, GpuHours, Load, estimated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.spec.handoff import Entry

SAME_SIZE_TOLERANCE = 0.01
"""Loads that differ by less are of one size: seeds, learning rates and the like."""
MEASURED_TRUST = 1.1
"""Factor by which another run of the same size may differ from those that were measured."""
SCALED_TRUST = 1.3
"""Factor around a measurement of another size, whose time is taken to grow as the estimate does."""


class Observed(NamedTuple):
    """A finished stage, as it was estimated and as it was measured."""

    shape: str
    gpus: int
    reckoned: float
    """Seconds of work, by the coefficients of then."""
    took: float
    """Seconds of work."""
    peak: float = 0.0
    """Bytes of one GPU at most; 0 where nobody looked."""

    @property
    def ratio(self) -> float:
        return self.took / self.reckoned


def observations(entries: Iterable[Entry]) -> list[Observed]:
    """Return the ledger's entries with a committed result. A resumed run counts as a whole."""
    found = []
    for e in entries:
        if not e.committed or not e.account.work_seconds or not e.account.gpus:
            continue
        steps = e.reached - e.began
        whole = e.reached / steps if e.began and steps > 0 else 1.0
        took = (e.seconds - e.waited) * whole
        if took > 0:
            peak = float(e.measured.get("peak_gpu_bytes", 0))
            found.append(Observed(e.account.shape, e.account.gpus, e.account.work_seconds, took, peak))
    return found


def calibrated(load: Load, seen: Sequence[Observed]) -> GpuHours:
    """Return hours as `measured`, `scaled` or `estimated`, the best that `seen` allows."""
    if not load.gpus or not load.work:
        return estimated(load) if load.gpus else NOTHING
    alike = [o for o in seen if o.shape == load.shape]
    same = _same_size(load, alike)
    if same:
        low, high = min(o.took for o in same) / MEASURED_TRUST, max(o.took for o in same) * MEASURED_TRUST
        return _with_start(load, low, high)._replace(basis="measured", measured=len(same))
    if alike:
        middle = median(o.ratio for o in alike)
        low = load.work * min(middle / SCALED_TRUST, *(o.ratio for o in alike))
        high = load.work * max(middle * SCALED_TRUST, *(o.ratio for o in alike))
        return _with_start(load, low, high)._replace(basis="scaled", measured=len(alike))
    return estimated(load)


def with_peak(load: Load, seen: Sequence[Observed]) -> Load:
    """Return the load with the peak memory that a stage of this size was measured to take."""
    return load._replace(peak=max((o.peak for o in _same_size(load, seen)), default=0.0))


def _same_size(load: Load, seen: Sequence[Observed]) -> list[Observed]:
    return [
        o
        for o in seen
        if load.work
        and o.shape == load.shape
        and o.gpus == load.gpus
        and abs(o.reckoned / load.work - 1) < SAME_SIZE_TOLERANCE
    ]


def _with_start(load: Load, low: float, high: float) -> GpuHours:
    """Return GPU-hours of the estimated start and of work between `low` and `high` seconds."""
    return GpuHours(
        load.gpus * (load.start / START_TRUST + low) / 3600,
        load.gpus * (load.start * START_TRUST + high) / 3600,
    )
