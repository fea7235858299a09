"""Score one experiment's checkpoint on one test set, all its seeds together, and compare two such cells.

Variants that differ in nothing but their seed are one experiment, and one row of every table.

Test clips that the training split has too, by id, words or recording, are counted, and the metrics are given without
them as well: CH-SIMS v2 contains CH-SIMS (METHOD 5). Inside one data set equal words are two clips that say the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import InvalidData
from c2f_spec.keys import content_key
from c2f_spec.metrics.answers import finite
from c2f_spec.metrics.effect import effects, over_seeds
from c2f_spec.spec.base import identity
from c2f_spec.spec.evaluate import CHECKPOINTS
from c2f_spec.spec.reporting import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.effect import Effect, OverSeeds
    from c2f_spec.plan.model import Plan, Variant
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.spec.evaluate import Checkpoint
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.reporting import Metric

    Rows = Sequence[Mapping[str, Any]]


class Group(NamedTuple):
    """One experiment, with the variants that run it with one seed each."""

    name: str
    variants: tuple[Variant, ...]

    @property
    def experiment(self) -> Experiment:
        """Return the experiment with the first seed; the others differ in nothing else."""
        return self.variants[0].experiment

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(v.experiment.seed for v in self.variants)


def groups(plan: Plan) -> tuple[Group, ...]:
    """Group variants by experiment, in the order of the plan. A duplicate seed begins another group: it is no second draw."""
    by_spec: dict[str, list[list[Variant]]] = {}
    order: list[list[Variant]] = []
    for variant in plan.variants:
        spec = identity(variant.experiment)
        spec.pop("seed", None)
        open_ = by_spec.setdefault(content_key(spec), [])
        seed = variant.experiment.seed
        place = next((g for g in open_ if seed not in (v.experiment.seed for v in g)), None)
        if place is None:
            place = []
            open_.append(place)
            order.append(place)
        place.append(variant)
    return tuple(Group(_name(g), tuple(g)) for g in order)


def find_group(candidates: tuple[Group, ...], name: str) -> Group | None:
    """Return the group of a name, or of the name of a variant that is alone in its group."""
    return next(
        (g for g in candidates if name in (g.name, *(v.name for v in g.variants[: len(g.variants) == 1]))),
        None,
    )


def _name(variants: list[Variant]) -> str:
    """Return what the names have in common without the seed; for one variant its own name."""
    if len(variants) == 1:
        return variants[0].name
    bare = {re.sub(rf"-s{v.experiment.seed}$", "", v.name) for v in variants}
    return bare.pop() if len(bare) == 1 else variants[0].name


class Source(NamedTuple):
    """The evaluation that a number comes from."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """The scores of a checkpoint over the seeds that have results; `missing` names the others, with reasons."""

    group: str
    checkpoint: str
    dataset: str
    scores: Mapping[Metric, OverSeeds]
    n: int
    """Number of answered clips of the test split."""
    expected: int
    unparsable: tuple[int, ...]
    """Number of answers without a score, of each seed."""
    overlap: int
    """Number of test clips that the training split has, too."""
    clean: Mapping[Metric, OverSeeds]
    """Scores without those clips; empty if there are none."""
    seeds: tuple[int, ...]
    sources: tuple[Source, ...]
    missing: tuple[str, ...]
    runs: tuple[Rows, ...] = field(default=(), repr=False, compare=False)
    """Predictions of each seed."""

    @property
    def coverage(self) -> float | None:
        """Return the share of the split that has a score, over all seeds."""
        requested = self.expected * len(self.unparsable)
        return (self.n * len(self.unparsable) - sum(self.unparsable)) / requested if requested else None


class ScoreCells:
    """The cells of a report, each computed once."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self._known: dict[tuple[str, str, str], ScoreCell] = {}
        self._shared: dict[tuple[str, str], frozenset[str]] = {}

    def cell(self, group: Group, checkpoint: str, dataset: str) -> ScoreCell:
        place = (group.name, checkpoint, dataset)
        if place not in self._known:
            self._known[place] = self._compute(group, checkpoint, dataset)
        return self._known[place]

    def keys(self, group: Group, checkpoint: str, dataset: str) -> tuple[str, ...]:
        """Return the keys of the planned evaluations, whether they ran or not."""
        spec = {"checkpoint": checkpoint, "dataset": dataset}
        evaluations = (self.outputs.find(v, "evaluate", **spec) for v in group.variants)
        return tuple(one.stage.key for one in evaluations if one is not None)

    def last(self, group: Group) -> Checkpoint | None:
        """Return the last checkpoint that is evaluated."""
        evaluate = group.experiment.evaluate
        return max(evaluate.checkpoints, key=CHECKPOINTS.index) if evaluate else None

    def _compute(self, group: Group, checkpoint: str, dataset: str) -> ScoreCell:
        seeds, runs, sources, missing = [], [], [], []
        for variant in group.variants:
            answers = self.outputs.answers(variant, checkpoint, dataset)
            bad = next((str(r.get("id")) for r in answers.rows if finite(r.get("label")) is None), None)
            state = answers.state or (f"the clip {bad} has no finite label" if bad else "")
            if answers.stage is None or state:
                missing.append(f"{variant.name}: {state}")
                continue
            seeds.append(variant.experiment.seed)
            runs.append(answers.rows)
            sources.append(Source(answers.stage.name, answers.stage.key))
        shared = self._overlap(group, dataset)
        own = [r for r in runs[0] if str(r.get("id")) in shared] if runs else []
        scores: Mapping[Metric, OverSeeds] = {}
        clean: Mapping[Metric, OverSeeds] = {}
        try:
            scores = self._scores(group, runs, dataset)
            if own:
                others = [[row for row in rows if str(row.get("id")) not in shared] for rows in runs]
                clean = self._scores(group, others, dataset)
        except InvalidData as error:
            missing.append(error.message)
        clips = (self.outputs.clips(v, dataset) for v in group.variants)
        expected = max((sum(row.get("split") == "test" for row in rows) for rows in clips), default=0)
        return ScoreCell(
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
        evaluate = group.experiment.evaluate
        if evaluate is None or not runs:
            return {}
        facts = group.experiment.data.known[dataset]
        return over_seeds(runs, METRICS[facts.family], facts, evaluate.unparsable, evaluate.bootstrap)

    def _overlap(self, group: Group, dataset: str) -> frozenset[str]:
        """Return the ids of test clips that the training split has."""
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
    """Return the properties of which one in common makes two rows the same clip."""
    marks = (
        ("id", row.get("id")),
        ("text", " ".join(str(row.get("text", "")).split())),
        ("blake3", row.get("blake3")),
    )
    return [(name, str(value)) for name, value in marks if value]


def compare(cell: ScoreCell, other: ScoreCell, base: Group) -> tuple[tuple[Effect, ...], str]:
    """Compare `cell` with `other` on the same clips, as the baseline's spec says; or return no effects, and the reason."""
    evaluate = base.experiment.evaluate
    if evaluate is None or not (cell.scores and other.scores):
        lacking = next((c for c in (cell, other) if not c.scores), other)
        return (), "; ".join(lacking.missing) or f"{lacking.group} is not evaluated on it"
    facts = base.experiment.data.known[cell.dataset]
    runs, others = _match_seeds(cell, other)
    try:
        tested = effects(runs, others, METRICS[facts.family], facts, evaluate.unparsable, evaluate.bootstrap)
    except InvalidData as error:
        return (), error.message
    return tested, ""


def _match_seeds(cell: ScoreCell, other: ScoreCell) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the runs of the seeds that both have, pairwise; all runs if they share none, or if one side has one run."""
    both = [s for s in cell.seeds if s in other.seeds]
    if not both or len(cell.seeds) == 1 or len(other.seeds) == 1:
        return cell.runs, other.runs
    return [cell.runs[cell.seeds.index(s)] for s in both], [other.runs[other.seeds.index(s)] for s in both]
