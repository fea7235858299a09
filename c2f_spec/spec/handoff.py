"""The files between launcher and stage: `stage.json`, records, ledger entries.

Both are contracts between versions. A new field with a default keeps the version, since whoever does not write it means
the default; anything else raises it. tests/data/contracts has both as each release wrote them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from c2f_spec.spec.base import SpecModel, at_default
from c2f_spec.spec.endpoint import Client
from c2f_spec.spec.resources import AskedZero, Checkpoints, Guard, Zero
from c2f_spec.spec.student import Attention


class Account(SpecModel):
    """The user and project of a stage, and its estimate before it ran."""

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


STAGE_VERSION = 1
RECORD_VERSION = 1


class Endpoint(SpecModel):
    """Where a model answers that a stage asks, and how it is asked."""

    url: str | None = Field(
        default=None, description="Up to and with `/v1`; none: the stage serves the model itself."
    )
    variable: str | None = Field(
        default=None, description="Environment variable with the key; with `_FILE` behind it, of a file."
    )
    client: Client = Field(default=at_default(Client), description="How it is asked.")
    tensor_parallel: int = Field(default=1, description="GPUs of a model that the stage serves itself.")
    memory: float = Field(default=0.9, description="Share of their memory that it takes.")


class VllmPlace(SpecModel):
    """Where vLLM generates for a stage, and how much of a GPU it takes."""

    mode: Literal["colocate", "server"] = Field(
        default="colocate", description="On the stage's GPUs, or elsewhere."
    )
    tensor_parallel: int = Field(default=1, description="GPUs that share each layer.")
    memory: float = Field(default=0.35, description="Share of a GPU's memory that it takes.")
    url: str | None = Field(default=None, description="Of the server.")


class Placement(SpecModel):
    """Where a stage runs; in no key."""

    image: str | None = Field(default=None, description="Container image, by digest; none on this machine.")
    pool: str | None = Field(default=None, description="Node pool of the environment.")
    gpus: int = Field(default=0, description="GPUs of a node.")
    nodes: int = Field(default=1, description="Nodes; more than one only for training.")
    shards: int = Field(default=1, description="Pods that share the units of a sharded stage.")
    zero: AskedZero = Field(
        default="auto",
        description="ZeRO stage of training; `auto` in a stage file: nobody resolved it, none.",
    )
    micro_batch: int | None = Field(default=None, description="Most rows of a GPU in one pass.")
    checkpoints: Checkpoints = Field(
        default=at_default(Checkpoints), description="How often training is saved."
    )
    guard: Guard = Field(default=at_default(Guard), description="When training is given up.")
    grace_seconds: int = Field(default=30, description="From SIGTERM to the end, whatever is being saved.")
    hang_seconds: int = Field(default=600, description="A stage that makes no step for so long hangs.")
    hard_samples: str | None = Field(
        default=None,
        description="File of an offline list of hard samples.",
        exclude_if=lambda uri: uri is None,  # so that plans of before have the digest that they had
    )
    processes: int = Field(default=1, description="Worker processes of the stage, one a GPU.")
    threads: int = Field(default=1, description="Threads of a worker's arithmetic.")

    endpoint: Endpoint | None = Field(
        default=None, description="Of the model that the stage asks, if any.", exclude_if=lambda v: v is None
    )
    """Left out where there is none: plans of stages that ask nobody keep their digest."""
    vllm: VllmPlace | None = Field(
        default=None,
        description="What generates the answers, if not the model itself.",
        exclude_if=lambda v: v is None,
    )
    attention: Attention | None = Field(
        default=None,
        description="Implementation of attention, if the spec names one.",
        exclude_if=lambda v: v is None,
    )

    def zero_stage(self, world: int) -> Zero:
        """Return the ZeRO stage of a training by `world` processes; a single one shares with nobody."""
        return "off" if world == 1 or self.zero == "auto" else self.zero


class Input(SpecModel):
    """A committed output of another stage."""

    kind: str = Field(description="Kind of the stage that made it.")
    key: str = Field(description="Its key.")


class StageFile(SpecModel):
    """All that a stage needs to know. It reads nothing else: no spec, no environment variable that changes results."""

    format_version: Literal[1] = 1
    kind: str
    key: str
    name: str
    preimage: dict[str, Any]
    placement: Placement = Placement()
    inputs: dict[str, Input] = Field(default_factory=dict)
    store: str
    scratch: str
    """A folder on this machine for work in progress."""
    code: str = ""
    """Digest of the bundle of code that it runs with; on this machine, none."""


class FileEntry(SpecModel):
    """One file of a committed output."""

    size: int
    blake3: str
    shard: str | None = None
    """The object that has it, if it shares one with others (`c2f_spec.store.shards`)."""
    offset: int | None = None
    """Its first byte there."""

    def same_content(self, other: FileEntry) -> bool:
        """Return whether two files have equal bytes, wherever they lie."""
        return self.size == other.size and self.blake3 == other.blake3


class Record(SpecModel):
    """Exists = done. Written last, created only if absent, never changed."""

    format_version: Literal[1] = 1
    kind: str
    key: str
    attempt: str
    nonce: str
    """Tells the winner of a race from the losers, even when the answer to its write was lost."""
    files: dict[str, FileEntry]
    summary: dict[str, Any]
    """Counts and last metrics of the stage, for status and report."""
    provenance: dict[str, Any]
    """Times, versions and machine: recorded, never keyed."""
