"""What the store holds of a plan's stages, asked in a few requests: one listing a kind, contents side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import canonical_json, flatten
from c2f_spec.plan.adopted import is_adopted
from c2f_spec.plan.explain import between, told
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


def annotate(plan: Plan, objects: ObjectStore, running: Callable[[Stage], bool]) -> Plan:
    """Look every stage up; `running` asks the target whether somebody is computing it now."""
    look = _Look(plan, Stored(objects), running)
    return replace(plan, stages=tuple(map(look.at, plan.stages)), _by_key={})


class _Look:
    """One look at the stages of a plan, inputs before what needs them."""

    def __init__(self, plan: Plan, stored: Stored, running: Callable[[Stage], bool]) -> None:
        self.plan, self.stored, self.running = plan, stored, running
        self.broken = stored.broken(plan.stages)
        self.stopped: dict[str, str] = {}
        """Failed and blocked stages, by key, with their names."""

    def at(self, stage: Stage) -> Stage:
        found = self._annotated(stage)
        if found.action in ("failed", "blocked"):
            self.stopped[stage.key] = stage.name
        return found

    def _annotated(self, stage: Stage) -> Stage:
        if stage.key in self.broken:
            reason = "its record stands but files are missing or have another size"
            return replace(stage, action="failed", reason=reason)
        if stage.key in self.stored.done(stage.kind):
            return replace(stage, action="reuse", reason="")
        if is_adopted(stage):
            return replace(stage, action="failed", reason="what was adopted for it is not in this store")
        if self.running(stage):
            return replace(stage, action="follow", reason="running now")
        if self.stored.is_failed(stage):
            last = records.read_failures(self.stored.objects, stage.kind, stage.key)[-1]
            return replace(stage, action="failed", reason=str(last.get("message", "failed before")))
        needed = next((self.stopped[key] for key in stage.inputs.values() if key in self.stopped), None)
        if needed:
            return replace(stage, action="blocked", reason=f"needs {needed}")
        return replace(stage, action="run", reason=self._why(stage))

    def _why(self, stage: Stage) -> str:
        """What differs from the nearest stage of this kind that is done."""
        if stage.key in self.stored.planned(stage.kind):
            return "planned before, not done"
        nearest = self.stored.nearest(stage)
        if nearest is None:
            return "never run"
        found = between(nearest[1], flatten(stage.preimage), evaluates=stage.kind == "evaluate")
        return told(found, self.plan.name_of)


MOST_COMPARED = 5_000
"""Stored stages of a kind that one is held against, the newest: a reason is not worth reading a whole store."""
AT_ONCE = 32
"""Requests for the files of committed outputs that wait for a store at the same time."""


@dataclass(slots=True)
class Stored:
    """A look at the store, for the stages of one plan. What it says was true when it was first asked."""

    objects: ObjectStore
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
            intact = pool.map(lambda record: records.files_present(self.objects, record), found)
            return {record.key for record, good in zip(found, intact, strict=True) if not good}

    def nearest(self, stage: Stage) -> tuple[str, dict[str, Any]] | None:
        """Key and leaves of the preimage of the done stage that is nearest to one that is not; of several the newest."""
        if stage.kind not in self.known:
            done, planned = self.done(stage.kind), self.planned(stage.kind)
            newest = sorted((k for k in done if k in planned), key=lambda k: (-done[k], k))[:MOST_COMPARED]
            found = records.read_preimages(self.objects, stage.kind, newest)
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


# The stored stage that is nearest to one that must run: the one with the fewest other leaves.
#
# A plan of thousands of stages is held against thousands of stored ones, so leaves are numbered and rows compared as
# arrays: 4,000 against 4,000 take about half a second.


class Nearest:
    """Stored preimages of one kind of stage, by key."""

    def __init__(self, stored: dict[str, dict[str, Any]]) -> None:
        import numpy as np

        self.keys = list(stored)
        self.leaves = [flatten(stored[key]) for key in self.keys]
        self.columns = {
            path: i for i, path in enumerate(dict.fromkeys(p for row in self.leaves for p in row))
        }
        self.numbers: dict[tuple[str, str], int] = {}
        """Of a path's value; 0 is no such leaf, -1 (never in a row here) a value that no stored stage has."""
        self.rows: NDArray[np.int32] = np.array([self._row(row) for row in self.leaves], dtype=np.int32)
        # [stored, path]

    def to(self, preimage: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Key and leaves of the nearest; of several the first. Nothing if nothing is stored."""
        import numpy as np

        if not self.keys:
            return None
        wanted = np.array(self._row(flatten(preimage), known=True), dtype=np.int32)
        best = int((self.rows != wanted).sum(axis=1).argmin())
        return self.keys[best], self.leaves[best]

    def _row(self, row: dict[str, Any], *, known: bool = False) -> list[int]:
        """Paths that no stored stage has count the same against all of them, and are left out."""
        numbers = [0] * len(self.columns)
        for path, value in row.items():
            column = self.columns.get(path)
            if column is not None:
                at = (path, value if isinstance(value, str) else canonical_json(value))
                numbers[column] = (
                    self.numbers.get(at, -1) if known else self.numbers.setdefault(at, len(self.numbers) + 1)
                )
        return numbers
