"""The cost of a stage as data: GPU-hours as a range with its basis, never one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Basis = Literal["none", "measured", "scaled", "estimated", "unknown"]
ORDER: tuple[Basis, ...] = ("none", "measured", "scaled", "estimated", "unknown")
"""The bases from known to guessed; a sum is as good as the worst of its parts."""


class Load(NamedTuple):
    """The estimated load of one run of a stage, and by what it is compared with measurements."""

    gpus: int
    """GPUs of all nodes and shards together."""
    start: float
    """Seconds in which the GPUs are held and do not work yet."""
    work: float
    """Seconds of work, by the coefficients alone."""
    memory: float
    """Peak of one GPU, in bytes; 0 without one."""
    trust: float
    """Factor by which `work` may be wrong."""
    shape: str
    """Stages with equal ones differ in size only, so that the measured time of one says something of the other."""
    peak: float = 0.0
    """Peak of one GPU in bytes that stages of this size were measured to have; 0: none was."""

    known: bool = True
    """The size of the model is known; if not, `work` only compares it with stages of the same model."""

    @property
    def nominal(self) -> float:
        """Return GPU-hours by the coefficients alone."""
        return self.gpus * (self.start + self.work) / 3600


UNLOADED = Load(0, 0.0, 0.0, 0.0, 1.0, "")
"""The load of a stage without an estimate."""


class GpuHours(NamedTuple):
    """GPU-hours as a range."""

    low: float
    high: float
    basis: Basis = "none"
    measured: int = 0
    """Runs that were measured, where the basis says so."""

    def to_json(self) -> dict[str, Any]:
        return {
            "low": round(self.low, 3),
            "high": round(self.high, 3),
            "basis": self.basis,
            "measured": self.measured,
        }


NOTHING = GpuHours(0.0, 0.0)


def total(parts: Iterable[GpuHours]) -> GpuHours:
    """Return the sum of ranges. Errors of estimates have one cause, the coefficients, so the ends are added."""
    found = list(parts)
    worst: Basis = max((p.basis for p in found), key=ORDER.index, default="none")
    count = sum(p.measured for p in found)
    return GpuHours(sum(p.low for p in found), sum(p.high for p in found), worst, count)


def estimated(load: Load) -> GpuHours:
    """Return hours by the coefficients alone; `unknown` where nothing but the start is known."""
    if not load.gpus:
        return NOTHING
    work = load.work if load.known else 0.0
    low = load.gpus * (load.start / START_TRUST + work / load.trust) / 3600
    high = load.gpus * (load.start * START_TRUST + work * load.trust) / 3600
    basis: Basis = "estimated" if work else "unknown"
    return GpuHours(low, high, basis)


START_TRUST = 1.25
"""Factor by which the start may be wrong: METHOD 8.5 gives 10 to 15 minutes."""
