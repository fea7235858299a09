"""`Plan` and store → `Report`. Everything that is found is found here; nothing is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report.cases import case_sets
from c2f_spec.report.cells import Cells
from c2f_spec.report.claims import verdicts
from c2f_spec.report.curves import grpo_curves, sft_curves
from c2f_spec.report.defaults import not_in_the_paper
from c2f_spec.report.errors import errors, shifts
from c2f_spec.report.examples import answers, dropped, kept
from c2f_spec.report.funnel import funnel
from c2f_spec.report.model import Report, Section
from c2f_spec.report.outputs import Outputs
from c2f_spec.report.own_tables import own_tables
from c2f_spec.report.paper import paper_tables
from c2f_spec.report.results import Results
from c2f_spec.report.rewards import rewards, rises
from c2f_spec.report.seeds import groups
from c2f_spec.report.spent import costs, timeline
from c2f_spec.report.summary import honesty, summary
from c2f_spec.report.variants import matrix, pairs
from c2f_spec.spec.evaluate import Evaluate

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Variant
    from c2f_spec.store.objects import Objects


def collect(plan: Plan, objects: Objects) -> Report:
    """What the store holds of a plan. The same store content gives an equal report."""
    outputs = Outputs(plan, objects)
    found, cells = groups(plan), Cells(outputs)
    return Report(
        name=plan.name,
        digest=plan.digest,
        environment=plan.environment_name,
        sections=tuple(_section(outputs, variant) for variant in plan.variants),
        stages=outputs.lines(),
        verdicts=verdicts(plan, outputs, objects),
        groups=tuple(group.name for group in found),
        tables=(*paper_tables(found, cells), *own_tables(found, cells)),
        cases=case_sets(found, outputs),
        matrix=matrix(found, cells),
        pairs=pairs(found, cells),
        rewards=rewards(found, outputs),
        rises=rises(found, outputs),
        errors=errors(found, cells),
        shifts=shifts(found, cells),
        timeline=timeline(plan, outputs),
        costs=costs(plan, outputs),
    )


def _section(outputs: Outputs, variant: Variant) -> Section:
    experiment = variant.experiment
    results = Results(outputs, variant)
    tables, learned = results.tables(), results.learned()
    chains = funnel(outputs, variant)
    asked = experiment.evaluate
    return Section(
        name=variant.name,
        description=experiment.description,
        summary=summary(experiment, tables, learned, chains),
        honesty=honesty(experiment, results.all_data(), outputs, variant),
        tables=tables,
        learned=learned,
        funnel=chains,
        curves=tuple(
            c for c in (sft_curves(outputs, variant), grpo_curves(outputs, variant)) if c is not None
        ),
        examples=tuple(
            e for e in (kept(outputs, variant), dropped(outputs, variant), answers(outputs, variant)) if e
        ),
        defaults=tuple(not_in_the_paper(experiment)),
        source=variant.source,
        policy=(asked or _EVALUATE).unparsable,
        resamples=(asked or _EVALUATE).bootstrap.resamples,
    )


_EVALUATE = Evaluate(checkpoints=("base",), datasets=("-",))
