"""Hypotheses of a plan: which cells they are about, and what was claimed before there were results.

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
from c2f_spec.spec.reporting import Hypothesis
from c2f_spec.store import records
from c2f_spec.store.digest import read_all_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from c2f_spec.plan.model import Plan, Stage, Variant
    from c2f_spec.store.protocol import ObjectStore

CHECKPOINTS = ("base", "sft", "grpo")
"""In the order in which they are made; the last that is evaluated is the one that a hypothesis is about."""
FRACTIONS = ("Acc2", "Acc3", "Acc5", "Acc7", "F1")


class Claim(NamedTuple):
    """A hypothesis about the variants that differ in their seed alone, by the evaluations that decide it."""

    name: str
    hypothesis: Hypothesis
    checkpoint: str
    dataset: str
    pairs: tuple[tuple[Variant, Stage, Stage | None], ...]
    """Of each seed: the variant, its evaluation and the baseline's; `None` if the plan has no such baseline."""


class Claimed(NamedTuple):
    """A wording that was written down."""

    hypothesis: Hypothesis
    after_results: bool
    """Whether the cell had a result by then."""


def claims(plan: Plan) -> Iterator[Claim]:
    """Every claim of a plan, in the order of its variants. A baseline makes no claim against itself."""
    groups: dict[tuple[str, str], list[Variant]] = {}
    others: dict[str | tuple[str, int], Variant] = {}
    for variant in plan.variants:
        others |= {variant.name: variant, (_group(variant), variant.experiment.seed): variant}
        if (claimed := variant.experiment.hypothesis) is not None:
            same = (_group(variant), content_key(claimed.model_dump(mode="json")))
            groups.setdefault(same, []).append(variant)
    for (name, _), variants in groups.items():
        claimed, asked = variants[0].experiment.hypothesis, variants[0].experiment.evaluate
        if claimed is None or asked is None or claimed.baseline in (name, *(v.name for v in variants)):
            continue
        dataset = claimed.dataset or variants[0].experiment.data.train
        checkpoint = max(asked.checkpoints, key=CHECKPOINTS.index)
        pairs = []
        for v in variants:
            other = others.get(claimed.baseline) or others.get((claimed.baseline, v.experiment.seed))
            own = _cell(plan, v, checkpoint, dataset)
            if own is not None:
                pairs.append((v, own, _baseline(plan, v, other, claimed.baseline, own)))
        if pairs:
            yield Claim(name, claimed, checkpoint, dataset, tuple(pairs))


def told(claim: Claim) -> str:
    """`Acc2 of grpo on ch-sims is higher than that of table-vi-keep, by 1.0 points or more`."""
    h = claim.hypothesis
    points = f"{100 * h.min_effect:.3g}"
    least = (
        f"{points} point{'' if points == '1' else 's'}" if h.metric in FRACTIONS else f"{h.min_effect:.3g}"
    )
    by = f", by {least} or more" if h.min_effect else ""
    found = all(baseline is not None for _, _, baseline in claim.pairs)
    missing = "" if found else f" ({h.baseline} is not in this plan)"
    return f"{h.metric} of {claim.checkpoint} on {claim.dataset} is {h.direction} than that of {h.baseline}{missing}{by}"


def register(plan: Plan, objects: ObjectStore) -> None:
    """Write down every claim that was not written down in these words, beside each cell that it is judged by."""
    made = list(claims(plan))
    if not made:
        return
    known, results = history(objects, made), set(objects.names("records/evaluate"))
    for claim in made:
        entry = {"experiment": claim.name, "hypothesis": claim.hypothesis.model_dump(mode="json")}
        for _, cell, _ in claim.pairs:
            before = known.get(cell.key, [])
            if any(c.hypothesis == claim.hypothesis for c in before):
                continue
            after = records.record_name(cell.kind, cell.key) in results
            text = seal({**entry, "after_results": after})
            number = len(before)
            while not objects.create(f"hypotheses/{cell.key}/{number:04}.json", text):
                number += 1


def history(objects: ObjectStore, made: Iterable[Claim]) -> dict[str, list[Claimed]]:
    """By the key of a cell: what was claimed of it, the oldest first."""
    cells = {cell.key for claim in made for _, cell, _ in claim.pairs}
    names = sorted(n for n in objects.names("hypotheses") if n.split("/")[1] in cells)
    found: dict[str, list[Claimed]] = {}
    way_out = "restore it from a copy of the store, or remove it: its claim is then written down anew"
    for name, entry in sorted(read_all_sealed(objects, names, way_out).items()):
        claimed = Claimed(Hypothesis.model_validate(entry["hypothesis"]), bool(entry["after_results"]))
        found.setdefault(name.split("/")[1], []).append(claimed)
    return found


def _group(variant: Variant) -> str:
    """The name of a variant without its seed."""
    return re.sub(rf"-s{variant.experiment.seed}$", "", variant.name)


def _baseline(plan: Plan, variant: Variant, other: Variant | None, name: str, own: Stage) -> Stage | None:
    """The cell to compare `own` with: of another variant, which has its own last checkpoint, or of `variant` itself."""
    dataset = own.preimage["spec"]["dataset"]
    if other is not None:
        asked = other.experiment.evaluate
        made = [c for c in CHECKPOINTS if asked and c in asked.checkpoints]
        return _cell(plan, other, made[-1], dataset) if made else None
    if name in CHECKPOINTS and name != own.preimage["spec"]["checkpoint"]:
        return _cell(plan, variant, name, dataset)
    return None


def _cell(plan: Plan, variant: Variant, checkpoint: str, dataset: str) -> Stage | None:
    for stage in map(plan.stage, variant.stages):
        spec = stage.preimage["spec"]
        if stage.kind == "evaluate" and (spec["checkpoint"], spec["dataset"]) == (checkpoint, dataset):
            return stage
    return None
