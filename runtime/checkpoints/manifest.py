"""What a checkpoint is in the store, and how one that is not whole is known.

    work/<kind>/<key>/checkpoints/step-<N>/<attempt>/{weights-*.safetensors, optimizer-*.safetensors, state.json,
                                                      trainer_state.json, metrics.jsonl, rollouts.jsonl}
    work/<kind>/<key>/checkpoints/step-<N>/<attempt>/manifest.json

Under ZeRO each rank stores a folder of its own, `rank-<N>/`, with a part of the optimizer (`part-*.safetensors`); that of
rank 0 has the rest too.

The manifest is written last and names every file with its size and BLAKE3, so a checkpoint without one is torn. It is
sealed: a flipped bit in its step or its score would otherwise pass for the truth. Attempts have folders of their own,
because two attempts at one stage may be alive at once and only one of them knows it.
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
from c2f_spec.store.digest import read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.store.protocol import ObjectStore


MANIFEST = "manifest.json"
FILES = re.compile(r"(rank-\d{5}/)?[a-z_]+(-\d+)?\.(safetensors|json|jsonl)")
"""Names of files that may be in a checkpoint. Anything else is not opened: pickles in particular."""
_PLACE = re.compile(r"(.+/checkpoints/step-(\d+)/[^/]+)/(.+)")


class Manifest(SpecModel):
    """A whole checkpoint."""

    format_version: Literal[1] = 1
    kind: str
    key: str
    attempt: str
    step: int
    """Optimiser steps that were done."""
    total: int
    """Of so many."""
    world: int
    """Processes that trained."""
    zero: Zero = "off"
    """How the state was spread over them."""
    score: float | None
    """How well it did since the checkpoint before; higher is better. For `keep_best`."""
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


class Place(NamedTuple):
    """Where a checkpoint is, or began to be."""

    step: int
    modified: float
    folder: str
    whole: bool
    """Whether it has a manifest; nothing is verified."""

    def __str__(self) -> str:
        return "/".join(self.folder.split("/")[-2:])


def places(objects: ObjectStore, kind: str, key: str) -> list[Place]:
    """The checkpoints of a stage, the newest step first; of one step, the one stored last."""
    found: dict[str, Place] = {}
    for each in objects.listing(checkpoints_name(kind, key)):
        parts = _PLACE.match(each.name)
        if parts:
            folder, step, file = parts[1], int(parts[2]), parts[3]
            before = found.get(folder)
            modified = max(each.modified, before.modified if before else 0.0)
            whole = file == MANIFEST or (before is not None and before.whole)
            found[folder] = Place(step, modified, folder, whole)
    return sorted(found.values(), reverse=True)


def newest_step(objects: ObjectStore, kind: str, key: str) -> int:
    """Of the newest checkpoint that has a manifest; 0 if there is none."""
    return max((place.step for place in places(objects, kind, key) if place.whole), default=0)


def read_manifest(
    objects: ObjectStore, place: Place, kind: str, key: str, world: int | None = None, zero: Zero = "off"
) -> Manifest:
    """The manifest at `place`. Raises `ValueError`, in words for people, if it is not one of this stage.

    With `world`, it must be of a training by so many processes, spread alike: random states, the order of data and parts
    of the state belong to ranks.
    """
    if not place.whole:
        raise ValueError("it has no manifest, so it was never whole")
    try:
        content = read_sealed(objects, f"{place.folder}/{MANIFEST}", "an older one is tried")
        manifest = Manifest.model_validate(content)
    except (Damaged, ValidationError) as error:
        raise ValueError("its manifest is damaged") from error
    if (manifest.kind, manifest.key) != (kind, key):
        raise ValueError(f"it is of another stage ({manifest.kind} {manifest.key[:10]})")
    if manifest.folder != place.folder:
        raise ValueError(f"it was made at another place ({manifest.folder})")
    strange = [file for file in manifest.files if not FILES.fullmatch(file)]
    if strange:
        raise ValueError(f"it has a file that no checkpoint has (`{strange[0]}`)")
    if world is not None and manifest.world != world:
        raise ValueError(f"processes that made it: {manifest.world}, and now: {world}")
    if world is not None and manifest.zero != zero:
        raise ValueError(f"ZeRO of the processes that made it: {manifest.zero}, and now: {zero}")
    return manifest


# Which checkpoints may go. Pure.


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays. The newest stays always."""

    last: int = 2
    """So many of the newest: an older one is needed if the newest is torn."""
    best: int = 0
    """So many with the highest score."""
    every: int | None = None
    """Those at a multiple of so many steps."""


def retired(manifests: Iterable[Manifest], keep: Keep) -> list[Manifest]:
    """Those that no rule keeps, oldest first."""
    by_step = sorted(manifests, key=lambda m: m.step)
    scored = sorted((m for m in by_step if m.score is not None), key=lambda m: (m.score, m.step))
    kept = {m.folder for m in by_step[-max(1, keep.last) :]}
    kept |= {m.folder for m in scored[len(scored) - keep.best :]}
    kept |= {m.folder for m in by_step if keep.every and m.step % keep.every == 0}
    return [m for m in by_step if m.folder not in kept]
