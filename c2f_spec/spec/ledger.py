"""What the ledger holds: one entry for each attempt at a stage, written by the process that owned it, never changed."""

from typing import Any, Literal

from pydantic import Field

from c2f_spec.spec.base import SpecModel


class Account(SpecModel):
    """For whom a stage runs, and what it was reckoned to take before it ran."""

    user: str = Field(description="Who launched.")
    project: str = Field(description="Of the first experiment that needs the stage.")
    plan: str = Field(description="Digest of the plan.")
    pool: str = Field(description="Node pool; empty on this machine.")
    gpus: int = Field(description="Of all pods together.")
    low: float = Field(description="GPU-hours, at least.")
    high: float = Field(description="GPU-hours, at most.")
    basis: str = Field(description="What the range was known from.")
    start_seconds: float = Field(description="By the coefficients: until the work began.")
    work_seconds: float = Field(description="By the coefficients: of the work.")
    shape: str = Field(description="What it can be compared by.")


class Entry(SpecModel):
    """One attempt of one process, as it ended."""

    format_version: Literal[1] = 1
    kind: str
    key: str
    attempt: str
    account: Account
    started: str = Field(description="UTC, ISO 8601.")
    seconds: float = Field(description="That its GPUs were held.")
    waited: float = Field(description="Of them, before the work began; known of an attempt that ended well.")
    gpus: int = Field(description="That this process held.")
    code: int = Field(description="How it ended: an exit code of stages.")
    committed: bool = Field(description="Whether its result is the one that stands.")
    began: int = Field(description="Step of the checkpoint that it went on from.")
    reached: int = Field(description="Steps that were done when it ended.")
    saved: int = Field(description="Step of the newest checkpoint when it ended.")
    measured: dict[str, Any] = Field(
        default_factory=dict, description="What the runtime measured of an attempt that ended well."
    )
