"""Verify checkpoints, and find the newest one of a stage that passes.

A checkpoint is verified twice: `verify_manifest` checks what its manifest says (seal, stage, folder, file names, number of
processes, ZeRO), then `fetch_verified` of the store's cache compares every file with the size and BLAKE3 that the
manifest names. A checkpoint that fails either is skipped with the reason, and the one before it is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from c2f_spec.errors import Damaged
from c2f_spec.store.cache import fetch_verified
from c2f_spec.store.digest import read_sealed
from runtime.checkpoints.manifest import FILES, MANIFEST, Location, Manifest, list_checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.resources import Zero
    from c2f_spec.store.protocol import ObjectStore

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
