"""Where stages stand by the store: one listing for all of them, not a request a stage.

`records/`, `failures/` and `retries/` are flat, so a thousand stages are three or four pages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.plan.model import Stage
    from c2f_spec.store.objects import Objects


@dataclass(slots=True)
class Standing:
    """What the store says of the stages of a plan: all of it by `standing`, one of them again by `look`."""

    done: set[str] = field(default_factory=set)
    """Keys with a record."""
    failures: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)

    def failed(self, key: str) -> bool:
        """More failures than forgiven ones."""
        return self.failures[key] > self.retries[key]

    def look(self, objects: Objects, stage: Stage) -> None:
        """Ask the store about one stage."""
        if objects.exists(records.record_name(stage.kind, stage.key)):
            self.done.add(stage.key)
            return
        for name, counts in (("failures", self.failures), ("retries", self.retries)):
            counts[stage.key] = sum(1 for _ in objects.names(f"{name}/{stage.kind}/{stage.key}"))


def standing(objects: Objects, stages: Iterable[Stage]) -> Standing:
    """Look everything up."""
    stages = list(stages)
    kinds = sorted({stage.kind for stage in stages})
    done = {n.rsplit("/", 1)[1].removesuffix(".json") for k in kinds for n in objects.names(f"records/{k}")}
    return Standing(
        done & {stage.key for stage in stages},
        _counts(objects, "failures", kinds),
        _counts(objects, "retries", kinds),
    )


def _counts(objects: Objects, folder: str, kinds: list[str]) -> Counter[str]:
    return Counter(name.split("/")[2] for kind in kinds for name in objects.names(f"{folder}/{kind}"))
