"""Write the model card of a trained student, for a person who gets the folder and nothing else.

The head is what the hub reads: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from c2f_spec.plan.model import with_inputs
from c2f_spec.report import numbers
from c2f_spec.report.markup import fence, inline, line
from c2f_spec.report.results import Results
from c2f_spec.report.summary import caveats
from c2f_spec.spec.formats import Direct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Output, Outputs
    from c2f_spec.report.report_data import DatasetScores

LOADING = """\
from transformers import Qwen2_5OmniProcessor, Qwen2_5OmniThinkerForConditionalGeneration

model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained("FOLDER", dtype="auto").eval()
processor = Qwen2_5OmniProcessor.from_pretrained("FOLDER")
"""
METRICS = {
    "Acc7": numbers.percent,
    "Acc5": numbers.percent,
    "Acc3": numbers.percent,
    "Acc2": numbers.percent,
    "F1": numbers.percent,
    "MAE": numbers.three,
    "Corr": numbers.three,
    "format_rate": numbers.percent,  # answers in exactly the format
    "coverage": numbers.percent,
    "n": numbers.count,
}
"""The format of each metric by its name in the scores; a metric that a family does not have is left out."""


def card(outputs: Outputs, variant: Variant, model: Output, prompts: Mapping[str, str]) -> str:
    """Return the card as Markdown. `model` is the stage that trained the student, `prompts` its prompt by language."""
    results = Results(outputs, variant)
    language = variant.experiment.data.known[variant.experiment.data.train].language
    blocks = [
        _head(variant, language),
        f"# {inline(variant.name)}: {model.stage.kind}",
        _introduction(variant, model),
        *[
            f"> {line(caveat)}"
            for caveat in caveats(variant.experiment, results.all_data(), outputs, variant)
        ],
        "## Results",
        _results(results.tables(), model.stage.kind, variant),
        "## How to ask",
        (
            "The user's turn is the video, the sound, then this text; `{text}` is what is said in the clip. `c2f.json` has the "
            "prompts, the limits of frames and pixels and the format of the answer; `c2f-spec predict` asks in exactly this way."
        ),
        fence(prompts[language]),
        "## How to load",
        fence(LOADING, "python"),
        "The files are in the layout of Qwen2.5-Omni, without the talker. vLLM looks for it in this layout; that was not tried.",
        "## Where it comes from",
        _keys(outputs, variant, model),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(variant: Variant, language: str) -> str:
    """Return YAML for the hub. Its values are JSON, which is YAML, so that no name of a spec becomes syntax."""
    e = variant.experiment
    base = getattr(e.student, "model", None)
    facts = {
        **({"base_model": base} if base else {}),
        "language": language,
        "library_name": "transformers",
        "pipeline_tag": "any-to-any",
        "tags": ["multimodal-sentiment-analysis", "arxiv:2604.00013", "c2f-spec"],
    }
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in facts.items()), "---"])


def _introduction(variant: Variant, model: Output) -> str:
    e = variant.experiment
    student = getattr(e.student, "model", e.student.kind)
    aim = "scores alone" if isinstance(e.format, Direct) else "distilled chains of thought"
    how = {"sft": f"fine-tuned on {aim}", "grpo": f"fine-tuned on {aim}, then trained by GRPO"}
    return line(
        f"{student}, {how[model.stage.kind]}, on {e.data.train}. {e.description}".strip()
        + " The method is that of C2F-Thinker (arXiv 2604.00013)."
    )


def _results(tables: tuple[DatasetScores, ...], kind: str, variant: Variant) -> str:
    """Return a table with a row for each data set. Answers without a score count as the spec says."""
    scored = [(t, row.scores) for t in tables for row in t.rows if row.model == kind and row.scores]
    if not scored:
        return "It was not evaluated."
    names = [name for name in METRICS if any(scores.get(name) is not None for _, scores in scored)]
    lines = ["| " + " | ".join(["data set", "domain", *names]) + " |", "|" + "---|" * (len(names) + 2)]
    for table, scores in scored:
        cells = [METRICS[name](scores.get(name)) for name in names]
        lines.append("| " + " | ".join([inline(table.data.name), table.data.domain, *cells]) + " |")
    evaluate = variant.experiment.evaluate
    policy = evaluate.unparsable if evaluate else "worst_case"
    return "\n".join(lines) + f"\n\nAnswers without a score: `{policy}`. Accuracies and rates in percent."


def _keys(outputs: Outputs, variant: Variant, model: Output) -> str:
    """Return the keys of the stages that made and evaluated the model. A key covers everything that went into a stage."""
    needed_keys = with_inputs(outputs.plan.stage, [model.stage.key])
    stages = [outputs.plan.stage(key) for key in variant.stages]
    own = [s for s in stages if s.key in needed_keys or model.stage.key in s.inputs.values()]
    rows = [f"| {inline(stage.label)} | `{stage.key}` |" for stage in own]
    return "\n".join(["| stage | key |", "|---|---|", *rows])
