"""A cell of a table: one experiment's checkpoint on one test set, all its seeds together, with all that must stand beside it.

Test clips that the training split has too, by id, words or recording, are counted, and the metrics are given without
them as well: CH-SIMS v2 contains CH-SIMS (METHOD 5). Inside one data set equal words are two clips that say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import DataWrong
from c2f_spec.metrics.answers import finite
from c2f_spec.metrics.over_seeds import over_seeds
from c2f_spec.spec.claims import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.over_seeds import OverSeeds
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.seeds import Group
    from c2f_spec.spec.claims import Metric
    from c2f_spec.spec.evaluate import Checkpoint

    Rows = Sequence[Mapping[str, Any]]

ORDER: tuple[Checkpoint, ...] = ("base", "sft", "grpo")
"""In which checkpoints are made."""


class Source(NamedTuple):
    """The evaluation that a number comes from."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Numbers are over the seeds that have results; `missing` says which have none, and why."""

    group: str
    checkpoint: str
    dataset: str
    scores: Mapping[Metric, OverSeeds]
    n: int
    """Clips of the test split that were answered."""
    expected: int
    unparsable: tuple[int, ...]
    """Answers without a score, of each seed."""
    overlap: int
    """Clips that the training split has, too."""
    clean: Mapping[Metric, OverSeeds]
    """Without those clips; empty if there are none."""
    seeds: tuple[int, ...]
    sources: tuple[Source, ...]
    missing: tuple[str, ...]
    runs: tuple[Rows, ...] = field(default=(), repr=False, compare=False)
    """Predictions of each seed."""

    @property
    def coverage(self) -> float | None:
        """Share of the split that has a score, over all seeds."""
        asked = self.expected * len(self.unparsable)
        return (self.n * len(self.unparsable) - sum(self.unparsable)) / asked if asked else None


class Cells:
    """Each is computed once."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self._known: dict[tuple[str, str, str], Cell] = {}
        self._shared: dict[tuple[str, str], frozenset[str]] = {}

    def of(self, group: Group, checkpoint: str, dataset: str) -> Cell:
        place = (group.name, checkpoint, dataset)
        if place not in self._known:
            self._known[place] = self._made(group, checkpoint, dataset)
        return self._known[place]

    def keys(self, group: Group, checkpoint: str, dataset: str) -> tuple[str, ...]:
        """Of the planned evaluations, whether they ran or not."""
        spec = {"checkpoint": checkpoint, "dataset": dataset}
        found = (self.outputs.find(v, "evaluate", **spec) for v in group.variants)
        return tuple(one.stage.key for one in found if one is not None)

    def last(self, group: Group) -> Checkpoint | None:
        """The last checkpoint that is evaluated."""
        asked = group.variants[0].experiment.evaluate
        return max(asked.checkpoints, key=ORDER.index) if asked else None

    def _made(self, group: Group, checkpoint: str, dataset: str) -> Cell:
        seeds, runs, sources, missing = [], [], [], []
        for variant in group.variants:
            found = self.outputs.answers(variant, checkpoint, dataset)
            bad = next((str(r.get("id")) for r in found.rows if finite(r.get("label")) is None), None)
            state = found.state or (f"the clip {bad} has no finite label" if bad else "")
            if found.stage is None or state:
                missing.append(f"{variant.name}: {state}")
                continue
            seeds.append(variant.experiment.seed)
            runs.append(found.rows)
            sources.append(Source(found.stage.name, found.stage.key))
        shared = self._overlap(group, dataset)
        own = [r for r in runs[0] if str(r.get("id")) in shared] if runs else []
        scores: Mapping[Metric, OverSeeds] = {}
        clean: Mapping[Metric, OverSeeds] = {}
        try:
            scores = self._scores(group, runs, dataset)
            clean = self._scores(group, [_without(r, shared) for r in runs], dataset) if own else {}
        except DataWrong as error:
            missing.append(error.message)
        expected = max((_split(self.outputs.clips(v, dataset)) for v in group.variants), default=0)
        return Cell(
            group=group.name,
            checkpoint=checkpoint,
            dataset=dataset,
            scores=scores,
            n=len(runs[0]) if runs else 0,
            expected=max(expected, len(runs[0]) if runs else 0),
            unparsable=tuple(sum(finite(r.get("score")) is None for r in rows) for rows in runs),
            overlap=len(own),
            clean=clean,
            seeds=tuple(seeds),
            sources=tuple(sources),
            missing=tuple(missing),
            runs=tuple(runs),
        )

    def _scores(self, group: Group, runs: Sequence[Rows], dataset: str) -> Mapping[Metric, OverSeeds]:
        asked = group.variants[0].experiment.evaluate
        if asked is None or not runs:
            return {}
        facts = group.variants[0].experiment.data.known[dataset]
        return over_seeds(runs, METRICS[facts.family], facts, asked.unparsable, asked.bootstrap)

    def _overlap(self, group: Group, dataset: str) -> frozenset[str]:
        """Ids of test clips that the training split has."""
        variant = group.variants[0]
        train = variant.experiment.data.train
        if dataset == train:
            return frozenset()
        place = (train, dataset)
        if place not in self._shared:
            known = {
                m for r in self.outputs.clips(variant, train) if r.get("split") == "train" for m in _marks(r)
            }
            tests = (r for r in self.outputs.clips(variant, dataset) if r.get("split") == "test")
            self._shared[place] = frozenset(str(r.get("id")) for r in tests if known & set(_marks(r)))
        return self._shared[place]


def _marks(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What makes two rows one clip."""
    found = (
        ("id", row.get("id")),
        ("text", " ".join(str(row.get("text", "")).split())),
        ("blake3", row.get("blake3")),
    )
    return [(name, str(value)) for name, value in found if value]


def _without(rows: Rows, ids: frozenset[str]) -> Rows:
    return [row for row in rows if str(row.get("id")) not in ids]


def _split(clips: Sequence[Mapping[str, Any]]) -> int:
    return sum(row.get("split") == "test" for row in clips)
