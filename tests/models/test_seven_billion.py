"""The real student's configuration without its weights, on torch's `meta` device: what is trained, and what it is called.

tests/data/qwen2_5_omni_7b.json has the values of the thinker in `config.json` of Qwen/Qwen2.5-Omni-7B, which could not be
fetched here. They were compared, on 2026-11-22, with

- transformers 5.23, whose defaults are meant to be that checkpoint's (`auto_docstring(checkpoint=...)`): all values are its
  defaults but those of `OTHERWISE`
- for these, configurations of the same generation that others quote: embeddings of Qwen2.5-Omni-7B are untied and its
  vision encoder is 1280 wide (a test of rtp_llm's Qwen2_5OmniThinker), `mrope_section` and the tokens of vision are
  those of Qwen2.5-VL-7B
- the technical report (arXiv 2503.20215), 2.2: the vision encoder is that of Qwen2.5-VL, "approximately 675 million"
  parameters; the audio encoder is Whisper-large-v3's, of about 637 million
"""

import json
import re
from pathlib import Path

import pytest
import torch

import runtime.models.patches  # noqa: F401  before transformers
from c2f_spec.cost.sizes import size_of
from c2f_spec.spec.sections import Lora, QwenOmni
from runtime.models import MODELS
from runtime.models.layout import hub_name
from runtime.models.thinker import freeze
from runtime.training.trainer_arguments import deepspeed_config
from runtime.training.tuner import adapters

SPEC = QwenOmni(model="Qwen/Qwen2.5-Omni-7B", revision="0" * 40)
SIZE = size_of(SPEC.model)
HIDDEN, LAYERS = 3584, 28
CONFIG = json.loads((Path(__file__).parents[1] / "data" / "qwen2_5_omni_7b.json").read_text())
OTHERWISE = {
    "vision_config.hidden_size": 1280,
    "text_config.rope_parameters.mrope_section": [16, 24, 24],
    "text_config.tie_word_embeddings": False,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
"""What transformers' defaults do not say, or say differently."""


@pytest.fixture(scope="module")
def thinker():
    from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

    with torch.device("meta"):
        return Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(**CONFIG))


def flat(config, at=""):
    for name, value in config.items():
        if isinstance(value, dict):
            yield from flat(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", list(value) if isinstance(value, tuple) else value


def test_values_are_the_defaults_of_transformers_but_for_those_that_are_named():
    from transformers import Qwen2_5OmniThinkerConfig

    usual = dict(flat(Qwen2_5OmniThinkerConfig().to_dict()))
    ours = dict(flat(CONFIG))
    assert {name: value for name, value in ours.items() if usual.get(name) != value} == OTHERWISE


def test_encoders_have_the_parameters_of_the_technical_report(thinker):
    assert count(thinker.model.visual.parameters()) == pytest.approx(675e6, rel=5e-3)
    assert count(thinker.model.audio_tower.parameters()) == pytest.approx(637e6, rel=5e-3)


def count(parameters):
    return sum(p.numel() for p in parameters)


def test_sizes_are_those_that_costs_are_estimated_with(thinker):
    named = dict(thinker.named_parameters())
    text = count(p for n, p in named.items() if n.startswith(("model.language_model.", "lm_head.")))
    assert text == pytest.approx(SIZE.text, rel=1e-3)
    assert count(named.values()) - text == pytest.approx(SIZE.towers, rel=0.01)
    assert count(named.values()) * 2 == pytest.approx(16.6 * 2**30, rel=0.01)  # METHOD 8.3


def test_full_tuning_trains_the_text_model_and_nothing_of_the_towers(thinker):
    freeze(thinker, MODELS["qwen_omni"].frozen(SPEC))
    trained = {n for n, p in thinker.named_parameters() if p.requires_grad}
    assert all(n.startswith(("model.language_model.", "lm_head.")) for n in trained)
    assert count(p for p in thinker.parameters() if p.requires_grad) == pytest.approx(7.616e9, rel=1e-3)


@pytest.mark.parametrize(("rank", "millions"), [(8, 20.2), (64, 161.5)])
def test_adapters_are_on_every_linear_layer_of_the_text_model(rank, millions, thinker):
    chosen = adapters(Lora(rank=rank, alpha=2 * rank), thinker)
    targets = {n.removeprefix("model.language_model.layers.") for n in chosen.target_modules}
    kinds = {re.sub(r"^\d+\.", "", n) for n in targets}
    attention = {f"self_attn.{p}_proj" for p in "qkvo"}
    assert kinds == attention | {f"mlp.{p}_proj" for p in ("gate", "up", "down")}
    assert len(chosen.target_modules) == LAYERS * len(kinds)
    own = dict(thinker.named_modules())
    each = (own[n] for n in chosen.target_modules)
    made = rank * sum(layer.in_features + layer.out_features for layer in each)
    assert made == SIZE.adapters(Lora(rank=rank)) == pytest.approx(millions * 1e6, rel=2e-3)
    assert made == pytest.approx(2.52e6 * rank, rel=2e-3)  # METHOD 8.3


def test_tensors_have_the_names_of_the_released_files(thinker):
    names = [hub_name(n) for n, _ in thinker.named_parameters()]
    assert len(set(names)) == len(names)
    released = {  # of each kind one, as model.safetensors.index.json has them
        "thinker.lm_head.weight",
        "thinker.model.embed_tokens.weight",
        "thinker.model.norm.weight",
        "thinker.model.layers.27.self_attn.q_proj.bias",
        "thinker.model.layers.27.mlp.down_proj.weight",
        "thinker.audio_tower.audio_bos_eos_token.weight",
        "thinker.audio_tower.conv1.weight",
        "thinker.audio_tower.layers.31.self_attn.out_proj.weight",
        "thinker.audio_tower.proj.weight",
        "thinker.visual.patch_embed.proj.weight",
        "thinker.visual.blocks.31.attn.q.weight",
        "thinker.visual.merger.mlp.2.weight",
    }
    assert released <= set(names)
    assert {n.split(".")[1] for n in names} == {"lm_head", "model", "audio_tower", "visual"}


@pytest.mark.parametrize("zero", ["2", "3"])
def test_deepspeed_is_configured_with_the_sizes_of_this_model(zero, monkeypatch):
    monkeypatch.setattr(
        "runtime.training.trainer_arguments.find_spec", lambda _: True
    )  # it is asked nothing else
    told = deepspeed_config(zero, rows=2, passes=4, world=4, grad_clip=1.0, bf16=True, hidden=HIDDEN)
    assert (told["train_batch_size"], told["bf16"]["enabled"]) == (32, True)
    of_weights = told["zero_optimization"]
    assert of_weights["stage"] == int(zero)
    if zero == "3":
        assert of_weights["stage3_prefetch_bucket_size"] == HIDDEN * HIDDEN * 9 // 10
        assert of_weights["stage3_param_persistence_threshold"] == 10 * HIDDEN
