"""Write the first paragraph: what was run, the headline numbers, and what is rendered, tiny or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import numbers
from c2f_spec.spec.sections import LexiconTeacher, Lora, Tiny

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.report_data import Data, DatasetScores, Funnel, TrainingGain
    from c2f_spec.spec.experiment import Experiment

HARD = {
    "hint": "hard clips are answered again with the true polarity as a hint",
    "keep": "hard clips are kept as they are, without hints",
    "drop": "hard clips are dropped",
}


def summary(
    e: Experiment, tables: Sequence[DatasetScores], learned: Sequence[TrainingGain], chains: Funnel | None
) -> tuple[str, ...]:
    """Return sentences on the method, then on the headline numbers."""
    return tuple(s for s in (_method(e, chains), *_headline(tables, learned)) if s)


def caveats(e: Experiment, data: Sequence[Data], outputs: Outputs, variant: Variant) -> tuple[str, ...]:
    """Return sentences on what must not be read into the numbers."""
    sentences = []
    drawn = [d.name for d in data if d.rendered]
    real = [d.name for d in data if not d.rendered]
    if drawn:
        which = _and(drawn) if real or len(drawn) < 3 else f"all {len(drawn)} data sets"
        sentences.append(
            f"Voice and face of {which} are rendered: text and ratings are human, while sound and picture are drawn from "
            "the rating, with noise. What a model reads from them says nothing about people."
        )
    if drawn and real:
        sentences.append(f"Recorded from people: {_and(real)}.")
    if isinstance(e.student, Tiny):
        sentences.append(
            "The student is tiny and starts from random weights. Its numbers show that the tool works; they say nothing "
            "about the paper's results."
        )
    if isinstance(e.teacher, LexiconTeacher):
        sentences.append(
            "The teacher is a word list with measurements of voice and face, not a language model."
        )
    stages = [outputs.output(key) for key in variant.stages]
    sentences += [
        f"Adopted: {output.stage.label} was made elsewhere; {a['by']} adopted it for this stage: {a['why']}."
        for output in stages
        if (a := output.provenance.get("adopted"))
    ]
    dirty = [output.stage.label for output in stages if output.dirty]
    if dirty:
        sentences.append(
            f"Dirty: {len(dirty)} of {len(variant.stages)} stages {'was' if len(dirty) == 1 else 'were'} launched from a tree "
            f"that was not as committed and pushed: {_and(dirty[:5])}{', and others' if len(dirty) > 5 else ''}. "
            "Their records name the commit and what differed."
        )
    missing = [output for output in stages if output.state]
    if missing:
        names = _and([f"{o.stage.label} ({o.state})" for o in missing[:5]])
        more = f", and {len(missing) - 5} more" if len(missing) > 5 else ""
        sentences.append(
            f"Partial: {len(missing)} of {len(variant.stages)} stages {'has' if len(missing) == 1 else 'have'} no result: {names}{more}."
        )
    return tuple(sentences)


def _method(e: Experiment, chains: Funnel | None) -> str:
    student = "a tiny omni model" if isinstance(e.student, Tiny) else e.student.model
    sentences = []
    if e.teacher is not None:
        name = "the lexicon teacher" if isinstance(e.teacher, LexiconTeacher) else e.teacher.model
        sentences.append(f"{name} writes chains of thought for {e.data.train}{_share(chains)}")
    trained = []
    if e.sft is not None:
        trained.append(f"is fine-tuned on {'them' if e.teacher else 'the labels'}{_tuned(e.sft.tuner)}")
    if e.grpo is not None:
        hard = HARD[e.grpo.hint.hard_policy]
        trained.append(
            f"is trained by GRPO with {e.grpo.generations} answers a clip, where {hard}{_tuned(e.grpo.tuner)}"
        )
    trained = trained or ["is evaluated as it is, without training"]
    sentences.append(f"{student} {' and then '.join(trained)}")
    return " ".join(s[0].upper() + s[1:] + "." for s in sentences)


def _share(chains: Funnel | None) -> str:
    if chains is None or chains.state or not chains.rows[0].entered:
        return ""
    all_ = chains.rows[0]
    part = numbers.percent(all_.kept / all_.entered)
    return (
        f", of which the filters keep {numbers.count(all_.kept)} of {numbers.count(all_.entered)} ({part} %)"
    )


def _tuned(tuner: object) -> str:
    return " (low-rank adapters)" if isinstance(tuner, Lora) else ""


def _headline(tables: Sequence[DatasetScores], learned: Sequence[TrainingGain]) -> list[str]:
    """Return sentences on Acc2 of each checkpoint in-domain, and whether the last one beats the majority class."""
    sentences = []
    for table in tables:
        scored = [r for r in table.rows if r.group == "checkpoint" and r.scores]
        if table.data.domain == "in-domain" and scored:
            models = _and([f"{numbers.percent(r.scores['Acc2'])} % ({r.model})" for r in scored])
            bar = f"always answering the larger class would give {numbers.percent(table.majority)} %"
            sentences.append(
                f"On the {numbers.count(table.n)} test clips of {table.data.name}, Acc2 is {models}; {bar}."
            )
    last = next((one for one in reversed(learned) if not one.state), None)
    over = last.comparisons[0] if last and last.comparisons else None
    if last and over and over.interval:
        bounds = numbers.interval(over.interval, numbers.points)
        gain = f"{numbers.points(over.delta)} points against the majority class, 95 % interval {bounds}"
        if not over.excludes_zero:
            sentences.append(
                f"Whether {last.model} learned anything in-domain cannot be told from chance: {gain}."
            )
        elif over.interval[0] > 0:
            sentences.append(f"So {last.model} learned something: {gain}.")
        else:
            sentences.append(f"So {last.model} is worse than no model at all: {gain}.")
    return sentences


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
