"""The layout of a checkpoint in the store, its manifest, and which checkpoints expire. `resume.py` verifies them.

    work/<kind>/<key>/checkpoints/step-<N>/<attempt>/{weights-*.safetensors, optimizer-*.safetensors, state.json,
                                                      trainer_state.json, metrics.jsonl, rollouts.jsonl}
    work/<kind>/<key>/checkpoints/step-<N>/<attempt>/manifest.json

Under ZeRO each rank stores a folder `rank-<N>/` with its part of the optimizer (`part-*.safetensors`); that of rank 0 also
has everything else.

The manifest is written last and names every file with its size and BLAKE3, so a checkpoint without one is incomplete. It
is sealed, so that a flipped bit in its step or its score is noticed. Each attempt writes into a folder of its own, because
two attempts at one stage may be alive at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from c2f_spec.spec.base import SpecModel
from c2f_spec.spec.handoff import FileEntry
from c2f_spec.spec.resources import Zero
from c2f_spec.store.digest import seal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.store.protocol import ObjectStore


MANIFEST = "manifest.json"
FILES = re.compile(r"(rank-\d{5}/)?[a-z_]+(-\d+)?\.(safetensors|json|jsonl)")
"""Names of files that a checkpoint may have. No other file is opened: a pickle could run code."""
RESUMABLE = frozenset({"sft", "grpo"})
"""Kinds of stages that have checkpoints."""
_NAME = re.compile(r"(.+/checkpoints/step-(\d+)/[^/]+)/(.+)")


class Manifest(SpecModel):
    """The description of a complete checkpoint."""

    format_version: Literal[1] = 1
    kind: str
    key: str
    attempt: str
    step: int
    """Optimizer steps that were done."""
    total: int
    """Optimizer steps of the whole training."""
    world: int
    """Number of processes that trained."""
    zero: Zero = "off"
    """How ZeRO partitioned the state over them."""
    score: float | None
    """Mean score since the checkpoint before; higher is better. For `keep_best`."""
    files: dict[str, FileEntry]

    def to_bytes(self) -> bytes:
        return seal(self.model_dump(mode="json"))

    @property
    def folder(self) -> str:
        return folder_name(self.kind, self.key, self.step, self.attempt)


def checkpoints_name(kind: str, key: str) -> str:
    return f"work/{kind}/{key}/checkpoints"


def folder_name(kind: str, key: str, step: int, attempt: str) -> str:
    return f"{checkpoints_name(kind, key)}/step-{step}/{attempt}"


class Location(NamedTuple):
    """A folder of the store with a checkpoint, complete or not."""

    step: int
    modified: float
    """Seconds since the epoch of its newest file."""
    folder: str
    complete: bool
    """Whether it has a manifest, which is not verified."""

    def __str__(self) -> str:
        return "/".join(self.folder.split("/")[-2:])


def list_checkpoints(store: ObjectStore, kind: str, key: str) -> list[Location]:
    """Return the checkpoints of a stage, the newest step first; of one step, the one stored last first."""
    locations: dict[str, Location] = {}
    for each in store.listing(checkpoints_name(kind, key)):
        parts = _NAME.match(each.name)
        if parts:
            folder, step, file = parts[1], int(parts[2]), parts[3]
            before = locations.get(folder)
            modified = max(each.modified, before.modified if before else 0.0)
            complete = file == MANIFEST or (before is not None and before.complete)
            locations[folder] = Location(step, modified, folder, complete)
    return sorted(locations.values(), reverse=True)


def newest_step(store: ObjectStore, kind: str, key: str) -> int:
    """Return the step of the newest checkpoint that has a manifest; 0 if there is none."""
    return max((each.step for each in list_checkpoints(store, kind, key) if each.complete), default=0)


@dataclass(frozen=True, slots=True)
class Retention:
    """Which checkpoints are kept. The newest always is."""

    last: int = 2
    """How many of the newest: an older one is needed if the newest is damaged."""
    best: int = 0
    """How many with the highest score."""
    every: int | None = None
    """Steps between checkpoints that are kept for good."""


def find_expired(manifests: Iterable[Manifest], keep: Retention) -> list[Manifest]:
    """Return the checkpoints that no rule keeps, oldest first."""
    by_step = sorted(manifests, key=lambda m: m.step)
    scored = sorted((m for m in by_step if m.score is not None), key=lambda m: (m.score, m.step))
    kept = {m.folder for m in by_step[-max(1, keep.last) :]}
    kept |= {m.folder for m in scored[len(scored) - keep.best :]}
    kept |= {m.folder for m in by_step if keep.every and m.step % keep.every == 0}
    return [m for m in by_step if m.folder not in kept]
