"""What the store holds of a plan's stages, asked in a few requests: one listing a kind, contents side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from c2f_spec.plan.nearest import Nearest
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from c2f_spec.plan.model import Stage
    from c2f_spec.store.objects import Objects

MOST_COMPARED = 5_000
"""Stored stages of a kind that one is held against, the newest: a reason is not worth reading a whole store."""
AT_ONCE = 32
"""Requests for the files of committed outputs that wait for a store at the same time."""


@dataclass(slots=True)
class Stored:
    """A look at the store, for the stages of one plan. What it says was true when it was first asked."""

    objects: Objects
    listed: dict[str, dict[str, float]] = field(default_factory=dict)
    """Prefix to key to time."""
    counted: dict[str, dict[str, int]] = field(default_factory=dict)
    known: dict[str, Nearest] = field(default_factory=dict)

    def done(self, kind: str) -> Mapping[str, float]:
        """Keys with a record, and when it was written."""
        return self._keys(f"records/{kind}")

    def planned(self, kind: str) -> Mapping[str, float]:
        """Keys that somebody was about to run here, once."""
        return self._keys(f"preimages/{kind}")

    def is_failed(self, stage: Stage) -> bool:
        """It failed more often than somebody asked for another try."""
        failures = self._counts(f"failures/{stage.kind}").get(stage.key, 0)
        return failures > self._counts(f"retries/{stage.kind}").get(stage.key, 0)

    def broken(self, stages: Iterable[Stage]) -> set[str]:
        """Keys of done stages whose outputs miss files, or have files of another size than was committed."""
        done: dict[str, list[str]] = {}
        for stage in stages:
            if stage.key in self.done(stage.kind):
                done.setdefault(stage.kind, []).append(stage.key)
        found = [r for kind, keys in done.items() for r in records.read_records(self.objects, kind, keys)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            intact = pool.map(lambda record: records.intact(self.objects, record), found)
            return {record.key for record, good in zip(found, intact, strict=True) if not good}

    def nearest(self, stage: Stage) -> tuple[str, dict[str, Any]] | None:
        """Key and leaves of the preimage of the done stage that is nearest to one that is not; of several the newest."""
        if stage.kind not in self.known:
            done, planned = self.done(stage.kind), self.planned(stage.kind)
            newest = sorted((k for k in done if k in planned), key=lambda k: (-done[k], k))[:MOST_COMPARED]
            found = records.preimages(self.objects, stage.kind, newest)
            self.known[stage.kind] = Nearest({key: found[key] for key in newest if key in found})
        return self.known[stage.kind].to(stage.preimage)

    def _keys(self, prefix: str) -> dict[str, float]:
        if prefix not in self.listed:
            self.listed[prefix] = {_key(i.name): i.modified for i in self.objects.listing(prefix)}
        return self.listed[prefix]

    def _counts(self, prefix: str) -> dict[str, int]:
        """Of `<prefix>/<key>/<n>.json`, how many there are of each key."""
        if prefix not in self.counted:
            counts = self.counted[prefix] = {}
            for name in self.objects.names(prefix):
                key = name.split("/")[2]
                counts[key] = counts.get(key, 0) + 1
        return self.counted[prefix]


def _key(name: str) -> str:
    return name.rsplit("/", 1)[1].removesuffix(".json")
