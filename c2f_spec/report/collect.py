"""Collect everything that a report shows from a plan and its store. Nothing is rendered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from c2f_spec.report.cases import case_sets
from c2f_spec.report.chain_examples import answers, dropped_chains, funnel, kept_chains
from c2f_spec.report.comparisons import errors, hypothesis_results, matrix, pairs, shifts
from c2f_spec.report.cost import costs, timeline
from c2f_spec.report.curves import grpo_curves, rewards, rises, sft_curves
from c2f_spec.report.custom_tables import custom_tables
from c2f_spec.report.outputs import Outputs
from c2f_spec.report.paper_tables import paper_tables
from c2f_spec.report.report_data import Default, Report, Section
from c2f_spec.report.results import Results
from c2f_spec.report.scores import ScoreCells, groups
from c2f_spec.report.summary import caveats, summary
from c2f_spec.spec.base import DISCRIMINATORS, NOT_IN_PAPER, SpecModel, Word
from c2f_spec.spec.evaluate import Evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from c2f_spec.plan.model import Plan, Variant
    from c2f_spec.store.protocol import ObjectStore


def not_in_the_paper(model: SpecModel, path: str = "") -> Iterator[Default]:
    """Yield the fields that the paper does not give and that have their default, in the order of the schema."""
    for name, value in model:
        field = type(model).model_fields[name]
        place = f"{path}.{name}" if path else name
        description = field.description or ""
        if (
            description.endswith(NOT_IN_PAPER)
            and value == field.get_default(call_default_factory=True)
            and not (isinstance(value, SpecModel) and _kind(value) is None)  # its fields are listed instead
        ):
            yield Default(place, _format_value(value, field), description.removesuffix(NOT_IN_PAPER).strip())
        if isinstance(value, SpecModel):
            yield from not_in_the_paper(value, place)


def _kind(section: SpecModel) -> str | None:
    """Return the kind of a section; `None` if it has nothing but its fields."""
    return next((str(getattr(section, d)) for d in DISCRIMINATORS if d in type(section).model_fields), None)


def _format_value(value: Any, field: FieldInfo) -> str:
    """Return a value as a spec has it; an absent one by the word for it, if there is one."""
    if value is None:
        return next((m.word for m in field.metadata if isinstance(m, Word)), "none")
    if isinstance(value, SpecModel):
        return _kind(value) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def collect(plan: Plan, objects: ObjectStore) -> Report:
    """Return what the store holds of a plan. Equal content of the store gives an equal report."""
    outputs = Outputs(plan, objects)
    experiments, cells = groups(plan), ScoreCells(outputs)
    return Report(
        name=plan.name,
        digest=plan.digest,
        environment=plan.environment_name,
        sections=tuple(_section(outputs, variant) for variant in plan.variants),
        stages=outputs.lines(),
        hypotheses=hypothesis_results(plan, outputs, objects),
        groups=tuple(group.name for group in experiments),
        tables=(*paper_tables(experiments, cells), *custom_tables(experiments, cells)),
        cases=case_sets(experiments, outputs),
        matrix=matrix(experiments, cells),
        pairs=pairs(experiments, cells),
        rewards=rewards(experiments, outputs),
        rises=rises(experiments, outputs),
        errors=tuple(errors(experiments, cells)),
        shifts=tuple(shifts(experiments, cells)),
        timeline=timeline(plan, outputs),
        costs=costs(plan, outputs),
    )


def _section(outputs: Outputs, variant: Variant) -> Section:
    experiment = variant.experiment
    results = Results(outputs, variant)
    tables, learned = results.tables(), results.gains()
    chains = funnel(outputs, variant)
    evaluate = experiment.evaluate
    return Section(
        name=variant.name,
        description=experiment.description,
        summary=summary(experiment, tables, learned, chains),
        caveats=caveats(experiment, results.all_data(), outputs, variant),
        tables=tables,
        gains=learned,
        funnel=chains,
        curves=tuple(
            c for c in (sft_curves(outputs, variant), grpo_curves(outputs, variant)) if c is not None
        ),
        examples=tuple(
            e
            for e in (
                kept_chains(outputs, variant),
                dropped_chains(outputs, variant),
                answers(outputs, variant),
            )
            if e
        ),
        defaults=tuple(not_in_the_paper(experiment)),
        source=variant.source,
        policy=(evaluate or _EVALUATE).unparsable,
        resamples=(evaluate or _EVALUATE).bootstrap.resamples,
    )


_EVALUATE = Evaluate(checkpoints=("base",), datasets=("-",))
