"""Score the evaluations of one variant: checkpoints and linear baselines by data sets, and gains by training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from c2f_spec.keys import TRAINING
from c2f_spec.metrics.effect import effect
from c2f_spec.metrics.scoring import majority_rows, score
from c2f_spec.report.report_data import Comparison, Data, DatasetScores, ModelScores, TrainingGain
from c2f_spec.spec.evaluate import CHECKPOINTS
from c2f_spec.spec.sections import Direct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.report_data import Domain
    from c2f_spec.spec.evaluate import Checkpoint

FEATURES = ("text", "voice", "face", "all")
"""Inputs of the ridge baselines, each a column in their predictions."""


def domain(variant: Variant, outputs: Outputs, name: str) -> Domain:
    """Return the domain of a test set. A set with recordings of the training split is not out-of-domain, whatever its name."""
    data = variant.experiment.data
    train, known = data.train, data.known
    if name == train:
        return "in-domain"
    overlaps = name in known[train].contains or train in known[name].contains
    if not overlaps:
        trained, tested = (
            {r["blake3"] for r in outputs.clips(variant, n) if r.get("split") == split and r.get("blake3")}
            for n, split in ((train, "train"), (name, "test"))
        )
        overlaps = not trained.isdisjoint(tested)
    return "overlaps the training data" if overlaps else "out-of-domain"


class Results:
    """The evaluations of one variant. Predictions are read once and scored as the spec's `evaluate` says."""

    def __init__(self, outputs: Outputs, variant: Variant) -> None:
        self.outputs, self.variant = outputs, variant
        self.e, self.evaluate = variant.experiment, variant.experiment.evaluate

    def tables(self) -> tuple[DatasetScores, ...]:
        """Return the scores of each data set, in-domain ones first, otherwise in the spec's order."""
        if self.evaluate is None:
            return ()
        facts = [self.data(name) for name in self.evaluate.datasets]
        return tuple(self._table(d) for d in sorted(facts, key=lambda d: d.domain != "in-domain"))

    def gains(self) -> tuple[TrainingGain, ...]:
        """Compare each trained checkpoint in-domain with the majority class and the checkpoints before it, by Acc2."""
        if self.evaluate is None or self.e.data.train not in self.evaluate.datasets:
            return ()
        return tuple(self._gain(c) for c in TRAINING if c in self.evaluate.checkpoints)

    def all_data(self) -> tuple[Data, ...]:
        """Return the training data and every data set that is evaluated."""
        names = (self.e.data.train, *(self.evaluate.datasets if self.evaluate else ()))
        return tuple(self.data(name) for name in dict.fromkeys(names))

    def data(self, name: str) -> Data:
        facts = self.e.data.known[name]
        prepared = self.outputs.find(self.variant, "prepare", dataset=name)
        description = prepared.json("dataset.json") if prepared else {}
        splits = description.get("splits")
        return Data(
            name=name,
            domain=domain(self.variant, self.outputs, name),
            language=facts.language,
            low=facts.low,
            high=facts.high,
            family=facts.family,
            rendered=facts.rendered or description.get("rendered") is True,
            splits={str(k): int(v) for k, v in splits.items()} if isinstance(splits, dict) else {},
            note=str(description.get("note", "")),
            state=prepared.state if prepared else "not in the plan",
        )

    def predictions(self, checkpoint: str, dataset: str) -> tuple[list[dict[str, Any]], str]:
        """Return rows of predictions.jsonl, and the reason if there are none."""
        answers = self.outputs.answers(self.variant, checkpoint, dataset)
        return answers.rows, answers.state

    def _table(self, data: Data) -> DatasetScores:
        assert self.evaluate is not None
        others = dict.fromkeys(each.name for each in self.evaluate.imported if each.dataset == data.name)
        rows = [self._model(name, "checkpoint", data) for name in self.evaluate.checkpoints]
        rows += [self._model(name, "baseline", data) for name in others]
        if self.evaluate.baseline != "none":
            rows += self._baselines(data)
        scored = next((r.scores for r in rows if r.scores), {})
        return DatasetScores(data, tuple(rows), scored.get("n"), scored.get("majority_Acc2"))

    def _model(self, name: str, group: Any, data: Data) -> ModelScores:
        return self._row(name, group, *self.predictions(name, data.name), data)

    def _baselines(self, data: Data) -> list[ModelScores]:
        baseline = self.outputs.find(self.variant, "baseline")
        own = (
            [r for r in baseline.rows("predictions.jsonl") if r.get("dataset") == data.name]
            if baseline
            else []
        )
        state = "not in the plan" if baseline is None else baseline.state or ("" if own else "no predictions")
        return [
            self._row(
                f"ridge {features}", "baseline", [{**r, "score": r.get(features)} for r in own], state, data
            )
            for features in FEATURES
        ]

    def _row(self, model: str, group: Any, rows: list[dict[str, Any]], state: str, data: Data) -> ModelScores:
        if state:
            return ModelScores(model, group, state, {}, {})
        tags = group == "checkpoint" and not isinstance(self.e.format, Direct)
        try:
            main = self._score(rows, data, tags=tags)
            parsed = (
                self._score(rows, data, tags=tags, parsed_only=True) if main["n_parsed"] < main["n"] else main
            )
        except InvalidData as error:
            return ModelScores(model, group, error.message, {}, {})
        if group == "baseline":
            main |= {"format_rate": None}
        return ModelScores(model, group, "", main, parsed)

    def _score(
        self, rows: list[dict[str, Any]], data: Data, *, tags: bool, parsed_only: bool = False
    ) -> dict[str, Any]:
        assert self.evaluate is not None
        policy = "parsed_only" if parsed_only else self.evaluate.unparsable
        bootstrap = None if parsed_only else self.evaluate.bootstrap
        return score(
            rows, self.e.data.known[data.name], policy, bootstrap, tags=tags, clips=data.splits.get("test")
        )

    def _gain(self, checkpoint: Checkpoint) -> TrainingGain:
        assert self.evaluate is not None
        train = self.e.data.known[self.e.data.train]
        rows, state = self.predictions(checkpoint, train.name)
        if state:
            return TrainingGain(checkpoint, None, (), state)
        against = [("the majority class", majority_rows(rows, train))]
        for other in CHECKPOINTS[: CHECKPOINTS.index(checkpoint)]:
            if other not in self.evaluate.checkpoints:
                continue
            others, missing = self.predictions(other, train.name)
            against += [(other, others)] if not missing else []
        acc2 = score(rows, train, self.evaluate.unparsable)["Acc2"]
        return TrainingGain(checkpoint, acc2, tuple(self._compare(rows, n, o) for n, o in against), "")

    def _compare(
        self, rows: Sequence[dict[str, Any]], name: str, others: Sequence[dict[str, Any]]
    ) -> Comparison:
        assert self.evaluate is not None
        try:
            train = self.e.data.known[self.e.data.train]
            gain = effect([(rows, others)], "Acc2", train, self.evaluate.unparsable, self.evaluate.bootstrap)
        except InvalidData:
            return Comparison(f"{name} (not of the same clips)", None, None, None)
        return Comparison(name, gain.delta, gain.interval, gain.excludes_zero)
