"""Which weights are trained, in what type, and what is left of adapters."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from c2f_spec.spec.sections import Full, Lora
from runtime.models.thinker import freeze, load
from runtime.stages import sft
from runtime.training.tuner import adapters, save_trained, trains_towers, widen_to_float32
from tests.support import omni
from tests.support.omni_grpo import make

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

LORA = Lora(rank=4, alpha=8)


def test_adapters_are_on_the_layers_that_the_spec_names():
    chosen = adapters(Lora(rank=4, layers=("q_proj", "down_proj")), omni.student().model)
    assert sorted(chosen.target_modules) == [
        "model.language_model.layers.0.mlp.down_proj",
        "model.language_model.layers.0.self_attn.q_proj",
    ]


def test_the_reference_of_grpo_is_the_fine_tuned_model_without_adapters(tmp_path):
    """SFT with adapters leaves a whole model; GRPO puts its own upon it, and switches them off for the reference."""
    section = {"steps": 2, "batch": 4, "learning_rate": 1e-2, "tuner": LORA.model_dump()}
    ctx = omni.sft_context(tmp_path / "sft", sft=section)
    sft.run(ctx)
    folder = ctx.out / "model"
    steps = {"max_steps": 2, "learning_rate": 1e-2, "warmup_steps": 0}
    trainer = make(tmp_path / "grpo", tuner=LORA, start=folder, **steps)
    trainer.train()
    ids = torch.tensor([omni.student().tokenizer.encode("wonderful and warm")])
    with torch.no_grad():
        tuned = load(folder).model(input_ids=ids).logits
        policy = trainer.model(input_ids=ids).logits
        with trainer.model.disable_adapter():
            reference = trainer.model(input_ids=ids).logits
        untuned = omni.student().model(input_ids=ids).logits
    assert torch.equal(reference, tuned)
    assert not torch.equal(policy, tuned), "the adapters learned nothing, so switching them off shows nothing"
    assert not torch.equal(untuned, tuned)


@pytest.mark.parametrize(
    ("tuner", "zero", "widened"), [(Full(), "off", True), (Full(), "2", False), (LORA, "off", False)]
)
def test_trained_weights_are_in_float32_unless_deepspeed_has_a_copy(tuner, zero, widened):
    model = load(omni.tuned() / "model", dtype=torch.bfloat16).model
    freeze(model, ("model.visual.",))
    widen_to_float32(tuner, model, zero)
    types = {name.startswith("model.visual."): p.dtype for name, p in model.named_parameters()}
    assert types == {True: torch.bfloat16, False: torch.float32 if widened else torch.bfloat16}


@pytest.mark.parametrize(
    ("tuner", "frozen", "trained"),
    [
        (Full(), (), True),
        (Full(), ("model.visual.",), True),
        (Full(), ("model.visual.", "model.audio_tower."), False),
        (LORA, (), False),
    ],
)
def test_towers_are_trained_unless_they_are_frozen(tuner, frozen, trained):
    model = load(omni.tuned() / "model").model
    freeze(model, frozen)
    assert trains_towers(tuner, model) == trained


def test_what_is_saved_has_the_type_that_the_weights_came_in(tmp_path):
    student = load(omni.tuned() / "model", dtype=torch.bfloat16)
    widen_to_float32(Full(), student.model, "off")
    trainer = SimpleNamespace(
        model=student.model,
        accelerator=SimpleNamespace(unwrap_model=lambda model: model),
        args=SimpleNamespace(process_index=0),
    )
    save_trained(trainer, student, tmp_path / "model")
    assert {p.dtype for p in load(tmp_path / "model").model.parameters()} == {torch.bfloat16}
