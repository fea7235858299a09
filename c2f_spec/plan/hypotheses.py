"""Find the hypotheses of a plan and the cells that decide them, and register them before there are results.

A hypothesis is in no key, so it can be changed at any time; what makes it worth something is that it stood before the
results did. So every launch and every report writes it down beside the cell that it is judged by, once for each
wording, with whether that cell had a result by then. The report says which it was.

`baseline` is a variant of the plan, or a group of them that differ in their seed (`table-vi-keep` for
`table-vi-keep-s42` and its like), or another checkpoint of the same experiment (`base`, `sft`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.keys import content_key
from c2f_spec.spec.evaluate import CHECKPOINTS
from c2f_spec.spec.reporting import Hypothesis
from c2f_spec.store import records
from c2f_spec.store.digest import read_all_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from c2f_spec.plan.model import Plan, Stage, Variant
    from c2f_spec.store.protocol import ObjectStore

FRACTIONS = ("Acc2", "Acc3", "Acc5", "Acc7", "F1")


class PlannedHypothesis(NamedTuple):
    """A hypothesis about variants that differ in their seed alone, with the evaluations that decide it."""

    name: str
    hypothesis: Hypothesis
    checkpoint: str
    dataset: str
    pairs: tuple[tuple[Variant, Stage, Stage | None], ...]
    """For each seed: the variant, its evaluation and the baseline's; `None` if the plan has no such baseline."""


class Registered(NamedTuple):
    """A wording that was registered."""

    hypothesis: Hypothesis
    after_results: bool
    """The cell had a result when the wording was registered."""


def planned_hypotheses(plan: Plan) -> Iterator[PlannedHypothesis]:
    """Yield every hypothesis of a plan, in the order of its variants. A baseline has none against itself."""
    groups: dict[tuple[str, str], list[Variant]] = {}
    others: dict[str | tuple[str, int], Variant] = {}
    for variant in plan.variants:
        others |= {variant.name: variant, (_group(variant), variant.experiment.seed): variant}
        if (hypothesis := variant.experiment.hypothesis) is not None:
            same = (_group(variant), content_key(hypothesis.model_dump(mode="json")))
            groups.setdefault(same, []).append(variant)
    for (name, _), variants in groups.items():
        hypothesis, evaluate = variants[0].experiment.hypothesis, variants[0].experiment.evaluate
        if (
            hypothesis is None
            or evaluate is None
            or hypothesis.baseline in (name, *(v.name for v in variants))
        ):
            continue
        dataset = hypothesis.dataset or variants[0].experiment.data.train
        checkpoint = max(evaluate.checkpoints, key=CHECKPOINTS.index)  # a hypothesis is about the last
        pairs = []
        for v in variants:
            other = others.get(hypothesis.baseline) or others.get((hypothesis.baseline, v.experiment.seed))
            own = _cell(plan, v, checkpoint, dataset)
            if own is not None:
                pairs.append((v, own, _baseline(plan, v, other, hypothesis.baseline, own)))
        if pairs:
            yield PlannedHypothesis(name, hypothesis, checkpoint, dataset, tuple(pairs))


def describe_hypothesis(planned: PlannedHypothesis) -> str:
    """Return `Acc2 of grpo on ch-sims is higher than that of table-vi-keep, by 1.0 points or more`."""
    h = planned.hypothesis
    points = f"{100 * h.min_effect:.3g}"
    least = (
        f"{points} point{'' if points == '1' else 's'}" if h.metric in FRACTIONS else f"{h.min_effect:.3g}"
    )
    by = f", by {least} or more" if h.min_effect else ""
    has_baseline = all(baseline is not None for _, _, baseline in planned.pairs)
    missing = "" if has_baseline else f" ({h.baseline} is not in this plan)"
    return f"{h.metric} of {planned.checkpoint} on {planned.dataset} is {h.direction} than that of {h.baseline}{missing}{by}"


def register(plan: Plan, objects: ObjectStore) -> None:
    """Write every hypothesis whose wording is new into the store, beside each cell that decides it."""
    all_planned = list(planned_hypotheses(plan))
    if not all_planned:
        return
    known, results = read_registered(objects, all_planned), set(objects.names("records/evaluate"))
    for planned in all_planned:
        entry = {"experiment": planned.name, "hypothesis": planned.hypothesis.model_dump(mode="json")}
        for _, cell, _ in planned.pairs:
            before = known.get(cell.key, [])
            if any(c.hypothesis == planned.hypothesis for c in before):
                continue
            after = records.record_name(cell.kind, cell.key) in results
            text = seal({**entry, "after_results": after})
            number = len(before)
            while not objects.create(f"hypotheses/{cell.key}/{number:04}.json", text):
                number += 1


def read_registered(
    objects: ObjectStore, all_planned: Iterable[PlannedHypothesis]
) -> dict[str, list[Registered]]:
    """Return the registered wordings by key of a cell, the oldest first."""
    cells = {cell.key for planned in all_planned for _, cell, _ in planned.pairs}
    names = sorted(n for n in objects.names("hypotheses") if n.split("/")[1] in cells)
    found: dict[str, list[Registered]] = {}
    remedy = "restore it from a copy of the store, or remove it: its hypothesis is then registered again"
    for name, entry in sorted(read_all_sealed(objects, names, remedy).items()):
        registered = Registered(Hypothesis.model_validate(entry["hypothesis"]), bool(entry["after_results"]))
        found.setdefault(name.split("/")[1], []).append(registered)
    return found


def _group(variant: Variant) -> str:
    """Return the name of a variant without its seed."""
    return re.sub(rf"-s{variant.experiment.seed}$", "", variant.name)


def _baseline(plan: Plan, variant: Variant, other: Variant | None, name: str, own: Stage) -> Stage | None:
    """Return the cell to compare `own` with: of another variant at its last checkpoint, or of `variant` itself."""
    dataset = own.preimage["spec"]["dataset"]
    if other is not None:
        evaluate = other.experiment.evaluate
        evaluated = [c for c in CHECKPOINTS if evaluate and c in evaluate.checkpoints]
        return _cell(plan, other, evaluated[-1], dataset) if evaluated else None
    if name in CHECKPOINTS and name != own.preimage["spec"]["checkpoint"]:
        return _cell(plan, variant, name, dataset)
    return None


def _cell(plan: Plan, variant: Variant, checkpoint: str, dataset: str) -> Stage | None:
    for stage in map(plan.stage, variant.stages):
        spec = stage.preimage["spec"]
        if stage.kind == "evaluate" and (spec["checkpoint"], spec["dataset"]) == (checkpoint, dataset):
            return stage
    return None
