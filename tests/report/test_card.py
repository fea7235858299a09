"""The model card says what the student was trained on, and by which keys."""

from __future__ import annotations

from c2f_spec.plan.model import Variant
from c2f_spec.report.card import card
from c2f_spec.report.outputs import Outputs
from tests.support.report_store import experiment, filled, plan

PROMPTS = {"en": "What of {text}?", "zh": "?"}


def card_of(folder, kind: str, **changes) -> str:
    store = filled(folder, experiment(**changes))
    (variant,) = store.plan.variants
    assert isinstance(variant, Variant)
    outputs = Outputs(store.plan, store.objects)
    return card(outputs, variant, outputs.find(variant, kind), PROMPTS)


def test_it_has_what_the_hub_reads_the_numbers_and_the_keys(tmp_path):
    text = card_of(tmp_path, "grpo")
    assert text.startswith('---\nlanguage: "en"\nlibrary_name: "transformers"\n')
    assert "fine-tuned on distilled chains of thought, then trained by GRPO" in text
    assert "| data set | domain | Acc7 |" in text
    assert "says nothing about people" in text
    trained = plan(experiment()).stages
    assert all(f"`{stage.key}`" in text for stage in trained if stage.kind in ("distil", "sft", "grpo"))


def test_who_was_trained_on_scores_alone_saw_no_chains(tmp_path):
    text = card_of(tmp_path, "sft", format={"kind": "direct"})
    assert "fine-tuned on scores alone" in text
    assert "chains of thought, on" not in text
