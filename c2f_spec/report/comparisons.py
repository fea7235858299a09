"""Compare the experiments of a plan: numbers, differing fields, paired tests, errors, shifts of domain, hypotheses.

Two experiments are compared checkpoint by checkpoint; of more than two, the last checkpoint of each with that of the
first. One experiment alone is compared with itself: each checkpoint with the one before it. Equal evaluations are one
evaluation, and are not compared.

The whole interval of a difference decides a hypothesis: it is supported if all of it is at least the minimal effect in the
claimed direction, not supported if all of it is less, and undecided if it holds both, or if there is no interval.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

from c2f_spec.diff.field_changes import differing_fields, format_field
from c2f_spec.errors import InvalidData
from c2f_spec.metrics.effect import Effect, effect
from c2f_spec.metrics.errors_by_class import calibration, confusions
from c2f_spec.plan.hypotheses import FRACTIONS, describe_hypothesis, planned_hypotheses, read_registered
from c2f_spec.report import numbers
from c2f_spec.report.report_data import (
    Errors,
    FieldLine,
    HypothesisResult,
    Matrix,
    MatrixRow,
    Pair,
    PairedTest,
    Shift,
)
from c2f_spec.report.results import domain
from c2f_spec.report.scores import compare
from c2f_spec.spec.evaluate import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.plan.hypotheses import PlannedHypothesis, Registered
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.report_data import HypothesisOutcome
    from c2f_spec.report.scores import Group, ScoreCell, ScoreCells
    from c2f_spec.spec.evaluate import Checkpoint
    from c2f_spec.store.protocol import ObjectStore


SAME = "the same evaluation"


def matrix(groups: Sequence[Group], cells: ScoreCells) -> Matrix:
    """Return every evaluated checkpoint on every test set; that of the first experiment's training data comes first."""
    names = dict.fromkeys(n for g in groups for n in _datasets(g))
    train = groups[0].experiment.data.train
    order = sorted(names, key=lambda name: name != train)
    rows = []
    for group in groups:
        evaluate = group.experiment.evaluate
        others = dict.fromkeys(one.name for one in evaluate.imported) if evaluate else {}
        for checkpoint in (*_checkpoints(group), *others):
            own = _datasets(group) if checkpoint in CHECKPOINTS else _imported(group, checkpoint)
            row = tuple(cells.cell(group, checkpoint, name) if name in own else None for name in order)
            rows.append(MatrixRow(group.name, checkpoint, row))
    return Matrix(tuple(order), tuple(rows))


def pairs(groups: Sequence[Group], cells: ScoreCells) -> tuple[Pair, ...]:
    """Return the pairs that the module's docstring names."""
    if len(groups) == 1:
        return tuple(_within(groups[0], cells))
    return tuple(_between(groups[0], other, cells, every=len(groups) == 2) for other in groups[1:])


def _within(group: Group, cells: ScoreCells) -> Iterator[Pair]:
    checkpoints = _checkpoints(group)
    for before, after in pairwise(checkpoints):
        tests = (_test(group, before, group, after, name, cells) for name in _datasets(group))
        yield Pair(before, after, (), tuple(tests))


def _between(first: Group, other: Group, cells: ScoreCells, *, every: bool) -> Pair:
    old, new = first.experiment, other.experiment
    ours, theirs = _checkpoints(first), _checkpoints(other)
    both = [(c, c) for c in ours if c in theirs] if every else []
    last = [(ours[-1], theirs[-1])] if ours and theirs else []
    shared = [name for name in _datasets(first) if name in _datasets(other)]
    tests = [
        _test(first, a, other, b, name, cells) for name in shared for a, b in dict.fromkeys([*both, *last])
    ]
    fields = (
        FieldLine(f.path, format_field(f.old), format_field(f.new), f.kind)
        for f in differing_fields(old, new)
        if f.path != "seed" or first.seeds != other.seeds
    )
    return Pair(first.name, other.name, tuple(fields), tuple(tests))


def _test(
    first: Group, before: Checkpoint, other: Group, after: Checkpoint, dataset: str, cells: ScoreCells
) -> PairedTest:
    """Compare `other` with `first`: the effects are `other` minus `first`."""
    old, new = cells.cell(first, before, dataset), cells.cell(other, after, dataset)
    if old.sources and old.sources == new.sources:
        return PairedTest(dataset, before, after, (), SAME)
    effects, state = compare(new, old, first)
    return PairedTest(dataset, before, after, effects, state)


def _datasets(group: Group) -> list[str]:
    """Return the test sets, that of the training data first."""
    e = group.experiment
    return sorted(e.evaluate.datasets if e.evaluate else (), key=lambda name: name != e.data.train)


def _imported(group: Group, name: str) -> list[str]:
    """Return the test sets for which predictions of another code base are imported."""
    evaluate = group.experiment.evaluate
    return [one.dataset for one in evaluate.imported if one.name == name] if evaluate else []


def _checkpoints(group: Group) -> list[Checkpoint]:
    evaluate = group.experiment.evaluate
    return [c for c in CHECKPOINTS if evaluate and c in evaluate.checkpoints]


def errors(groups: Sequence[Group], cells: ScoreCells) -> Iterator[Errors]:
    """Yield the errors of each experiment's last checkpoint on each of its test sets, all seeds together."""
    for group in groups:
        variant, last = group.variants[0], cells.last(group)
        experiment = variant.experiment
        for name in experiment.evaluate.datasets if experiment.evaluate and last else ():
            cell, facts = cells.cell(group, last or "", name), experiment.data.known[name]
            if cell.scores:
                yield Errors(
                    group=group.name,
                    checkpoint=cell.checkpoint,
                    dataset=name,
                    domain=domain(variant, cells.outputs, name),
                    low=facts.low,
                    high=facts.high,
                    confusions=confusions(cell.runs, facts),
                    calibration=calibration(cell.runs, facts),
                )


def shifts(groups: Sequence[Group], cells: ScoreCells) -> Iterator[Shift]:
    """Yield the shift of each checkpoint with results both in-domain and out-of-domain; overlapping data is neither."""
    for group in groups:
        for checkpoint in _checkpoints(group):
            scored: dict[str, list[ScoreCell]] = {"in-domain": [], "out-of-domain": []}
            for name in _datasets(group):
                cell, where = (
                    cells.cell(group, checkpoint, name),
                    domain(group.variants[0], cells.outputs, name),
                )
                if cell.scores and where in scored:
                    scored[where].append(cell)
            acc = [_mean(side, "Acc2") for side in scored.values()]
            if acc[0] is not None and acc[1] is not None:
                corr = [_mean(side, "Corr") for side in scored.values()]
                outside = len(scored["out-of-domain"])
                yield Shift(group.name, checkpoint, acc[0], acc[1], corr[0], corr[1], outside)


def _mean(side: Sequence[ScoreCell], metric: str) -> float | None:
    """Return the mean over test sets; `None` if it is undefined on any."""
    values = [over.mean for cell in side for name, over in cell.scores.items() if name == metric]
    known = [v for v in values if v is not None]
    return fmean(known) if known and len(known) == len(values) else None


def hypothesis_results(plan: Plan, outputs: Outputs, objects: ObjectStore) -> tuple[HypothesisResult, ...]:
    """Return the result of each hypothesis of a plan."""
    hypotheses = list(planned_hypotheses(plan))
    known = read_registered(objects, hypotheses) if hypotheses else {}
    return tuple(_result(claim, outputs, known.get(claim.pairs[0][1].key, [])) for claim in hypotheses)


def _result(claim: PlannedHypothesis, outputs: Outputs, before: list[Registered]) -> HypothesisResult:
    effect_or_reason = _missing(claim, outputs) or _effect(claim, outputs)
    registration = _registration(claim, before)
    if isinstance(effect_or_reason, str):
        return HypothesisResult(
            claim.name, describe_hypothesis(claim), "undecided", effect_or_reason, registration
        )
    return HypothesisResult(
        claim.name,
        describe_hypothesis(claim),
        _outcome(claim, effect_or_reason),
        _evidence(claim, effect_or_reason),
        registration,
    )


def _missing(claim: PlannedHypothesis, outputs: Outputs) -> str:
    """Return the reason why there is nothing to compare; an empty text if there is."""
    for variant, own, baseline in claim.pairs:
        for name, cell in ((variant.name, own), (claim.hypothesis.baseline, baseline)):
            if cell is None:
                return f"the baseline {name} is not in this plan"
            if state := outputs.output(cell.key).state:
                return f"{cell.label} of {name}: {state}"
    return ""


def _effect(claim: PlannedHypothesis, outputs: Outputs) -> Effect | str:
    """Return the difference of the predictions, or the reason why they cannot be compared."""
    experiment = claim.pairs[0][0].experiment
    evaluate, known = experiment.evaluate, experiment.data.known
    assert evaluate is not None
    pairs = [
        (_rows(outputs, own), _rows(outputs, other)) for _, own, other in claim.pairs if other is not None
    ]
    try:
        return effect(
            pairs, claim.hypothesis.metric, known[claim.dataset], evaluate.unparsable, evaluate.bootstrap
        )
    except InvalidData as error:
        return error.message


def _rows(outputs: Outputs, cell: Stage) -> list[dict[str, object]]:
    return outputs.output(cell.key).rows("predictions.jsonl")


def _outcome(claim: PlannedHypothesis, measured: Effect) -> HypothesisOutcome:
    """Return what the interval decides. An effect of zero supports no hypothesis, also where the minimal effect is 0."""
    if measured.interval is None:
        return "undecided"
    low, high = (
        measured.interval
        if claim.hypothesis.direction == "higher"
        else [-b for b in reversed(measured.interval)]
    )
    least = claim.hypothesis.min_effect
    if low >= least and low > 0:
        return "supported"
    return "not supported" if high < least or high <= 0 else "undecided"


def _evidence(claim: PlannedHypothesis, measured: Effect) -> str:
    """Return `74.2 against 71.0: +3.2 points, 95 % interval [+1.0, +5.1], on 457 clips and 3 seeds`."""
    fraction = claim.hypothesis.metric in FRACTIONS
    show, gain = (numbers.percent, numbers.points) if fraction else (numbers.three, numbers.signed)
    unit = " points" if fraction else ""
    bounds = numbers.interval(measured.interval, gain) or "is not defined"
    seeds = f" and {measured.seeds} seeds" if measured.seeds > 1 else ""
    return (
        f"{show(measured.value)} against {show(measured.baseline)}: {gain(measured.delta)}{unit}, 95 % interval {bounds}, on "
        f"{numbers.count(measured.clips)} clips{seeds}"
    )


def _registration(claim: PlannedHypothesis, before: list[Registered]) -> str:
    """Return whether the hypothesis was registered before the results, and other hypotheses about them."""
    own = next((c for c in before if c.hypothesis == claim.hypothesis), None)
    others = [
        describe_hypothesis(claim._replace(hypothesis=c.hypothesis))
        for c in before
        if c.hypothesis != claim.hypothesis
    ]
    also = f" Also claimed of these results: {'; '.join(others)}." if others else ""
    if own is None:
        return f"Not written down before the results.{also}"
    return (
        f"Written {'after there were results' if own.after_results else 'before there were results'}.{also}"
    )
