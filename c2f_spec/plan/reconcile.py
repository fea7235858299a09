"""Compare a plan with the store and the target: which stages are stored, running, failed, or must run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import canonical_json, flatten
from c2f_spec.plan.adopted import is_adopted
from c2f_spec.plan.explain import compare_leaves, describe_changes
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


def reconcile(plan: Plan, objects: ObjectStore, running: Callable[[Stage], bool]) -> Plan:
    """Return the plan with the action of each stage; `running` asks the target whether a stage is being computed now."""
    reconciler = _Reconciler(plan, StoredStages(objects), running)
    return replace(plan, stages=tuple(map(reconciler.set_action, plan.stages)))


class _Reconciler:
    """The actions of a plan's stages, inputs before what needs them."""

    def __init__(self, plan: Plan, stored: StoredStages, running: Callable[[Stage], bool]) -> None:
        self.plan, self.stored, self.running = plan, stored, running
        self.incomplete = stored.incomplete(plan.stages)
        self.failed_or_blocked: dict[str, str] = {}
        """Failed and blocked stages, by key, with their names."""

    def set_action(self, stage: Stage) -> Stage:
        stage = self._with_action(stage)
        if stage.action in ("failed", "blocked"):
            self.failed_or_blocked[stage.key] = stage.name
        return stage

    def _with_action(self, stage: Stage) -> Stage:
        if stage.key in self.incomplete:
            reason = "it has a record, but files of its output are missing or have another size"
            return replace(stage, action="failed", reason=reason)
        if stage.key in self.stored.done(stage.kind):
            return replace(stage, action="reuse", reason="")
        if is_adopted(stage):
            return replace(
                stage, action="failed", reason="the files that were adopted for it are missing in this store"
            )
        if self.running(stage):
            return replace(stage, action="follow", reason="running now")
        if self.stored.is_failed(stage):
            last = records.read_failures(self.stored.objects, stage.kind, stage.key)[-1]
            return replace(stage, action="failed", reason=str(last.get("message", "failed before")))
        needed = next(
            (self.failed_or_blocked[key] for key in stage.inputs.values() if key in self.failed_or_blocked),
            None,
        )
        if needed:
            return replace(stage, action="blocked", reason=f"needs {needed}")
        return replace(stage, action="run", reason=self._reason(stage))

    def _reason(self, stage: Stage) -> str:
        """Return what differs from the nearest stored stage of this kind."""
        if stage.key in self.stored.planned(stage.kind):
            return "planned before, not done"
        nearest = self.stored.nearest(stage)
        if nearest is None:
            return "never run"
        found = compare_leaves(nearest[1], flatten(stage.preimage), evaluates=stage.kind == "evaluate")
        return describe_changes(found, self.plan.name_of)


MOST_COMPARED = 5_000
"""Stored stages of a kind that a stage is compared with, the newest: a reason is not worth reading a whole store."""
AT_ONCE = 32
"""Requests for the files of committed outputs that wait for a store at the same time."""


@dataclass(slots=True)
class StoredStages:
    """The records, failures and preimages in a store, read in few requests. Answers are those of the first request."""

    objects: ObjectStore
    listed: dict[str, dict[str, float]] = field(default_factory=dict)
    """Prefix to key to time."""
    counted: dict[str, dict[str, int]] = field(default_factory=dict)
    known: dict[str, Nearest] = field(default_factory=dict)

    def done(self, kind: str) -> Mapping[str, float]:
        """Return the keys with a record, and when it was written."""
        return self._keys(f"records/{kind}")

    def planned(self, kind: str) -> Mapping[str, float]:
        """Return the keys that were planned to run with this store."""
        return self._keys(f"preimages/{kind}")

    def is_failed(self, stage: Stage) -> bool:
        """Return whether a stage failed more often than it was to be retried."""
        failures = self._counts(f"failures/{stage.kind}").get(stage.key, 0)
        return failures > self._counts(f"retries/{stage.kind}").get(stage.key, 0)

    def incomplete(self, stages: Iterable[Stage]) -> set[str]:
        """Return keys of done stages whose outputs lack files, or have files of another size than was committed."""
        done: dict[str, list[str]] = {}
        for stage in stages:
            if stage.key in self.done(stage.kind):
                done.setdefault(stage.kind, []).append(stage.key)
        found = [r for kind, keys in done.items() for r in records.read_records(self.objects, kind, keys)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            intact = pool.map(lambda record: records.files_present(self.objects, record), found)
            return {record.key for record, good in zip(found, intact, strict=True) if not good}

    def nearest(self, stage: Stage) -> tuple[str, dict[str, Any]] | None:
        """Return key and leaves of the nearest stored stage; the newest of several."""
        if stage.kind not in self.known:
            done, planned = self.done(stage.kind), self.planned(stage.kind)
            newest = sorted((k for k in done if k in planned), key=lambda k: (-done[k], k))[:MOST_COMPARED]
            found = records.read_preimages(self.objects, stage.kind, newest)
            self.known[stage.kind] = Nearest({key: found[key] for key in newest if key in found})
        return self.known[stage.kind].find(stage.preimage)

    def _keys(self, prefix: str) -> dict[str, float]:
        if prefix not in self.listed:
            self.listed[prefix] = {_key(i.name): i.modified for i in self.objects.listing(prefix)}
        return self.listed[prefix]

    def _counts(self, prefix: str) -> dict[str, int]:
        """Return how many objects `<prefix>/<key>/<n>.json` each key has."""
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
    """Stored preimages of one kind of stage, by key, as rows of numbers to compare with."""

    def __init__(self, stored: dict[str, dict[str, Any]]) -> None:
        import numpy as np

        self.keys = list(stored)
        self.leaves = [flatten(stored[key]) for key in self.keys]
        self.columns = {
            path: i for i, path in enumerate(dict.fromkeys(p for row in self.leaves for p in row))
        }
        self.numbers: dict[tuple[str, str], int] = {}
        """Number of a path's value; 0 is an absent leaf, -1 (never in a row here) a value that no stored stage has."""
        self.rows: NDArray[np.int32] = np.array([self._row(row) for row in self.leaves], dtype=np.int32)
        # [stored, path]

    def find(self, preimage: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Return key and leaves of the nearest; the first of several. `None` if nothing is stored."""
        import numpy as np

        if not self.keys:
            return None
        wanted = np.array(self._row(flatten(preimage), known=True), dtype=np.int32)
        best = int((self.rows != wanted).sum(axis=1).argmin())
        return self.keys[best], self.leaves[best]

    def _row(self, row: dict[str, Any], *, known: bool = False) -> list[int]:
        """Return the numbers of a row's leaves. Paths that no stored stage has count the same against all, and are left out."""
        numbers = [0] * len(self.columns)
        for path, value in row.items():
            column = self.columns.get(path)
            if column is not None:
                at = (path, value if isinstance(value, str) else canonical_json(value))
                numbers[column] = (
                    self.numbers.get(at, -1) if known else self.numbers.setdefault(at, len(self.numbers) + 1)
                )
        return numbers
