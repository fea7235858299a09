"""The layout of a checkpoint in the store, its manifest, how it is verified, and which checkpoints expire.

    work/<kind>/<key>/checkpoints/step-<N>/<attempt>/{weights-*.safetensors, optimizer-*.safetensors, state.json,
                                                      trainer_state.json, metrics.jsonl, rollouts.jsonl}
    work/<kind>/<key>/checkpoints/step-<N>/<attempt>/manifest.json

Under ZeRO each rank stores a folder `rank-<N>/` with its part of the optimizer (`part-*.safetensors`); that of rank 0 also
has everything else.

The manifest is written last and names every file with its size and BLAKE3, so a checkpoint without one is incomplete. It
is sealed, so that a flipped bit in its step or its score is noticed. Each attempt writes into a folder of its own, because
two attempts at one stage may be alive at once.

A checkpoint is verified twice: `verify_manifest` checks what its manifest says (seal, stage, folder, file names, number of
processes, ZeRO), then `fetch_verified` of the store's cache compares every file with the size and BLAKE3 that the
manifest names. A checkpoint that fails either is skipped with the reason, and the one before it is tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import ValidationError

from c2f_spec.errors import Damaged
from c2f_spec.spec.base import SpecModel
from c2f_spec.spec.handoff import FileEntry
from c2f_spec.spec.resources import Zero
from c2f_spec.store.cache import fetch_verified
from c2f_spec.store.digest import read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
        return f"{checkpoints_name(self.kind, self.key)}/step-{self.step}/{self.attempt}"


def checkpoints_name(kind: str, key: str) -> str:
    return f"work/{kind}/{key}/checkpoints"


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
    """The choice of checkpoints that stay. The newest always does."""

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


REMEDY = "an older one is tried"


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint whose every file was verified."""

    manifest: Manifest
    folder: Path
    """Where its files are. Read only: it may lie in the store."""


@dataclass(frozen=True, slots=True)
class Search:
    """The checkpoint that a stage starts from, if any."""

    checkpoint: VerifiedCheckpoint | None
    skipped: tuple[str, ...]
    """Newer checkpoints that did not pass, each with the reason, for the log."""

    def __str__(self) -> str:
        """Return the first lines of the stage's log."""
        if self.checkpoint:
            start = f"resumed from step {self.checkpoint.manifest.step} of {self.checkpoint.manifest.total}"
        else:
            start = "fresh start because " + (
                "no checkpoint is whole" if self.skipped else "there is no checkpoint"
            )
        return "\n".join((start, *(f"  skipped {reason}" for reason in self.skipped)))


def find_newest(store: ObjectStore, kind: str, key: str, world: int, zero: Zero = "off") -> Search:
    """Verify the checkpoints of a stage, newest first, until one passes; fetch it to this machine.

    Raises `Unreachable` if the store is unreachable: a fresh start would then throw work away.
    """
    skipped = []
    for location in list_checkpoints(store, kind, key):
        try:
            manifest = verify_manifest(store, location, kind, key, world, zero)
            folder = fetch_verified(store, manifest.folder, manifest.files, None, REMEDY)
        except (ValueError, Damaged) as error:
            skipped.append(f"{location}: {error.message if isinstance(error, Damaged) else error}")
            continue
        return Search(VerifiedCheckpoint(manifest, folder), tuple(skipped))
    return Search(None, tuple(skipped))


def verify_manifest(
    store: ObjectStore,
    location: Location,
    kind: str,
    key: str,
    world: int | None = None,
    zero: Zero = "off",
) -> Manifest:
    """Return the manifest at `location`. Raises `ValueError`, in words for the log, if it is not one of this stage.

    With `world`, the training must have had as many processes, with the same ZeRO: random states, the order of data and
    partitions of the state belong to ranks.
    """
    if not location.complete:
        raise ValueError("it has no manifest, so its upload was never finished")
    try:
        content = read_sealed(store, f"{location.folder}/{MANIFEST}", REMEDY)
        manifest = Manifest.model_validate(content)
    except (Damaged, ValidationError) as error:
        raise ValueError("its manifest is damaged") from error
    if (manifest.kind, manifest.key) != (kind, key):
        raise ValueError(f"it belongs to another stage ({manifest.kind} {manifest.key[:10]})")
    if manifest.folder != location.folder:
        raise ValueError(f"it was written to another folder ({manifest.folder})")
    unknown = [file for file in manifest.files if not FILES.fullmatch(file)]
    if unknown:
        raise ValueError(f"unknown file `{unknown[0]}`: no checkpoint has one of that name")
    if world is not None and manifest.world != world:
        raise ValueError(f"processes that wrote it: {manifest.world}, and now: {world}")
    if world is not None and manifest.zero != zero:
        raise ValueError(f"ZeRO of the processes that wrote it: {manifest.zero}, and now: {zero}")
    return manifest
