"""A plan as a file (`plan.json`): what is reviewed, and what `apply` and the driver are given.

The shape is a contract between versions: `VERSION` is raised by every change that an older reader would misread.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from c2f_spec.spec.base import SpecModel
from c2f_spec.spec.handoff import Placement

VERSION = 1


class PlanVariant(SpecModel):
    """One experiment of a plan."""

    name: str
    file: str = Field(description="The spec file that it comes from, as it was named on the command line.")
    spec: str = Field(description="The resolved spec, as YAML.")
    stages: tuple[str, ...] = Field(description="Keys, in an order in which they can run.")


class Hours(SpecModel):
    """GPU-hours as a range, and what they are known from."""

    low: float
    high: float
    basis: Literal["none", "measured", "scaled", "estimated", "unknown"]
    measured: int = Field(description="Runs that were measured, where the basis says so.")


class EstimatedLoad(SpecModel):
    """The estimated load of one run, by the coefficients of its place alone."""

    gpus: int = Field(description="In all: over nodes and shards.")
    start: float = Field(description="Seconds until the work begins.")
    work: float = Field(description="Seconds of the work.")
    memory: int = Field(description="Peak of one GPU in bytes; 0 without one.")
    trust: float = Field(description="Factor by which the work may be wrong.")
    shape: str = Field(description="What measured stages of other sizes are compared by.")
    known: bool = Field(
        default=True, description="Whether the size of its model is; if not, its time is not estimated."
    )
    peak: int = Field(description="Of one GPU in bytes, as stages of this size were measured; 0: none was.")


class PlanStage(SpecModel):
    """One stage instance of a plan."""

    key: str
    kind: str
    name: str
    label: str
    variants: tuple[str, ...]
    inputs: dict[str, str] = Field(description="Role to key.")
    preimage: dict[str, Any] = Field(description="What the key is the hash of.")
    placement: Placement
    code: str = Field(description="Digest of the bundle of code that it runs with.")
    action: Literal["run", "reuse", "follow", "blocked", "failed", "unknown"]
    reason: str
    gpu_hours: Hours
    load: EstimatedLoad


class PlanRequest(SpecModel):
    """The call that made a plan, so that it can be made again."""

    specs: tuple[str, ...] = Field(description="Spec files, relative to the root of their repository.")
    settings: tuple[str, ...] = Field(default=(), description="What `--set` said.")
    until: str | None = Field(default=None, description="What `--until` said: the kind of the last stages.")


class PlanFile(SpecModel):
    """A plan with the actions that its reviewer saw."""

    format_version: Literal[1]
    version: str = Field(description="Version of the program that made it.")
    digest: str = Field(description="Of everything but actions, reasons and hours.")
    name: str
    request: PlanRequest
    origin: Origin | None = Field(default=None, description="The tree that it was launched from.")
    environment_name: str
    environment: dict[str, Any] = Field(description="Resolved; `spec/environment.py` says what it holds.")
    lock: dict[str, dict[str, str]] = Field(description="What names stood for: pins by section and name.")
    variants: tuple[PlanVariant, ...]
    stages: tuple[PlanStage, ...]
    totals: dict[str, Any]
    seal: str | None = Field(
        default=None, description="SHA-256 of all the rest as canonical JSON: one changed byte is noticed."
    )


# Where a launch came from: recorded with every result, in no key.


class Origin(SpecModel):
    """The tree that a plan was launched from, and how."""

    version: str = Field(description="Version of c2f-spec.")
    commit: str | None = Field(description="Of the specs' repository; absent: it has none.")
    branch: str | None = Field(default=None, description="Checked out; absent: none, as in CI.")
    pushed: bool = Field(default=False, description="Whether a remote is known to have the commit.")
    changed: tuple[str, ...] = Field(
        default=(), description="Files that were not as committed, up to a hundred; the tree was dirty."
    )
    base: str | None = Field(
        default=None, description="The commit that the patch starts from: the newest one that a remote has."
    )
    patch: str | None = Field(
        default=None, description="SHA-256 of `provenance/<digest>.patch` in the store, from base to tree."
    )
    author: str = Field(description="Who launched.")
    argv: tuple[str, ...] = Field(description="The command line, without secrets.")

    @property
    def dirty(self) -> bool:
        return bool(self.changed)
