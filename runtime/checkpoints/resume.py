"""The newest checkpoint of a stage that is whole, on this machine; and why those before it were passed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2f_spec.errors import Damaged
from c2f_spec.store.cache import fetch_verified
from runtime.checkpoints.manifest import Manifest, places, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.resources import Zero
    from c2f_spec.store.protocol import ObjectStore


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint whose every file was verified."""

    manifest: Manifest
    folder: Path
    """Read only: it may lie in the store."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a stage starts from."""

    found: Found | None
    skipped: tuple[str, ...]
    """Newer ones, each with the reason, for the log."""

    def __str__(self) -> str:
        """The first words of a log."""
        if self.found:
            start = f"resumed from step {self.found.manifest.step} of {self.found.manifest.total}"
        else:
            start = "fresh start because " + (
                "no checkpoint is whole" if self.skipped else "there is no checkpoint"
            )
        return "\n".join((start, *(f"  skipped {reason}" for reason in self.skipped)))


def newest(objects: ObjectStore, kind: str, key: str, world: int, zero: Zero = "off") -> Search:
    """Look through the checkpoints of a stage, newest first, until one is whole.

    Raises `Unreachable` if the store is: then it is not known what is there, and to start afresh would throw work away.
    """
    skipped = []
    for place in places(objects, kind, key):
        try:
            manifest = read_manifest(objects, place, kind, key, world, zero)
            folder = fetch_verified(objects, manifest.folder, manifest.files, None, "an older one is tried")
        except (ValueError, Damaged) as error:
            skipped.append(f"{place}: {error.message if isinstance(error, Damaged) else error}")
            continue
        return Search(Found(manifest, folder), tuple(skipped))
    return Search(None, tuple(skipped))
