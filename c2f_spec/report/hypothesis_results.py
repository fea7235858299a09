"""Test hypotheses against the results. The whole interval decides, not the difference alone:

- supported: all of it is at least the minimal effect, in the claimed direction
- not supported: all of it is less
- undecided: it holds both, or there is nothing to judge by
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.effect import Effect, effect
from c2f_spec.plan.hypotheses import FRACTIONS, claims, history, told
from c2f_spec.report import numbers
from c2f_spec.report.model import HypothesisResult

if TYPE_CHECKING:
    from c2f_spec.plan.hypotheses import Claim, Claimed
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.report.model import HypothesisOutcome
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.store.protocol import ObjectStore


def hypothesis_results(plan: Plan, outputs: Outputs, objects: ObjectStore) -> tuple[HypothesisResult, ...]:
    """Return the result of each hypothesis of a plan."""
    hypotheses = list(claims(plan))
    known = history(objects, hypotheses) if hypotheses else {}
    return tuple(_result(claim, outputs, known.get(claim.pairs[0][1].key, [])) for claim in hypotheses)


def _result(claim: Claim, outputs: Outputs, before: list[Claimed]) -> HypothesisResult:
    effect_or_reason = _missing(claim, outputs) or _effect(claim, outputs)
    registration = _registration(claim, before)
    if isinstance(effect_or_reason, str):
        return HypothesisResult(claim.name, told(claim), "undecided", effect_or_reason, registration)
    return HypothesisResult(
        claim.name,
        told(claim),
        _outcome(claim, effect_or_reason),
        _evidence(claim, effect_or_reason),
        registration,
    )


def _missing(claim: Claim, outputs: Outputs) -> str:
    """Return the reason why there is nothing to compare; an empty text if there is."""
    for variant, own, baseline in claim.pairs:
        for name, cell in ((variant.name, own), (claim.hypothesis.baseline, baseline)):
            if cell is None:
                return f"the baseline {name} is not in this plan"
            if state := outputs.output(cell.key).state:
                return f"{cell.label} of {name}: {state}"
    return ""


def _effect(claim: Claim, outputs: Outputs) -> Effect | str:
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


def _outcome(claim: Claim, measured: Effect) -> HypothesisOutcome:
    """Decide by the interval. An effect of zero supports no hypothesis, also where the minimal effect is 0."""
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


def _evidence(claim: Claim, measured: Effect) -> str:
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


def _registration(claim: Claim, before: list[Claimed]) -> str:
    """Return whether the hypothesis was registered before the results, and other hypotheses about them."""
    own = next((c for c in before if c.hypothesis == claim.hypothesis), None)
    others = [
        told(claim._replace(hypothesis=c.hypothesis)) for c in before if c.hypothesis != claim.hypothesis
    ]
    also = f" Also claimed of these results: {'; '.join(others)}." if others else ""
    if own is None:
        return f"Not written down before the results.{also}"
    return (
        f"Written {'after there were results' if own.after_results else 'before there were results'}.{also}"
    )
