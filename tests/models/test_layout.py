"""The released layout of an omni model: read into a student, written for vLLM, and the same tensors both ways."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from c2f_spec.errors import InvalidData
from c2f_spec.spec.sections import QwenOmni
from runtime.models import MODELS
from runtime.models.layout import hub_name, is_released, to_released_layout
from runtime.models.thinker import freeze, load, save
from tests.support import omni

SPEC = QwenOmni(model="Qwen/Qwen2.5-Omni-7B", revision="0" * 40)
KIND = MODELS["qwen_omni"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The tiny student as the hub would have it: bfloat16, two parts with an index, a talker beside the thinker."""
    folder = tmp_path_factory.mktemp("hub")
    save(omni.student(), folder / "thinker")
    made = to_released_layout(folder / "thinker", folder / "released")
    tensors = {n: t.to(torch.bfloat16) for n, t in load_file(made / "model.safetensors").items()}
    (made / "model.safetensors").unlink()
    tensors |= {"talker.codec_head.weight": torch.ones(2, 2), "token2wav.bias": torch.ones(3)}
    names, where = sorted(tensors), {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{i:05}-of-00002.safetensors"
        save_file({n: tensors[n] for n in part}, made / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    (made / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return made


def test_the_thinker_is_read_and_the_talker_is_not(released):
    student = KIND.load(SPEC, released)
    theirs = dict(student.model.named_parameters())
    ours = dict(omni.student().model.named_parameters())
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[n].float(), ours[n].to(torch.bfloat16).float()) for n in ours)
    assert student.model.config.model_type == "qwen2_5_omni_thinker"
    assert student.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_is_that_of_the_spec(precision, dtype, released):
    spec = SPEC.model_copy(update={"precision": precision, "attention": "eager"})
    model = KIND.load(spec, released).model
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert model.config._attn_implementation == "eager"
    assert KIND.half(spec) == (dtype == torch.bfloat16)


@pytest.mark.parametrize("frozen", [("vision", "audio"), ("audio",), ()])
def test_frozen_are_the_towers_of_the_spec(frozen):
    model = omni.student().model
    freeze(model, KIND.frozen(SPEC.model_copy(update={"frozen": frozen})))
    still = {n.split(".")[1] for n, p in model.named_parameters() if not p.requires_grad}
    assert still == {{"vision": "visual", "audio": "audio_tower"}[tower] for tower in frozen}
    model.requires_grad_(requires_grad=True)


def test_every_parameter_has_the_name_that_the_hub_has(released, tmp_path):
    index = json.loads((released / "model.safetensors.index.json").read_text())["weight_map"]
    named = {hub_name(name) for name, _ in omni.student().model.named_parameters()}
    assert named == {name for name in index if name.startswith("thinker.")}
    with pytest.raises(LookupError, match="no parameter of a thinker"):
        hub_name("talker.codec_head.weight")
    assert is_released(released)
    assert to_released_layout(released, tmp_path / "unused") == released


def test_a_copy_for_vllm_has_the_same_tensors(tmp_path):
    save(omni.student(), tmp_path / "thinker")
    copy = to_released_layout(tmp_path / "thinker", tmp_path / "copy")
    before, after = (load_file(f / "model.safetensors") for f in (tmp_path / "thinker", copy))
    assert {f"thinker.{n}" for n in before} == after.keys()
    assert all(torch.equal(t, after[f"thinker.{n}"]) for n, t in before.items())
    again = load(copy)
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.model.parameters(), omni.student().model.parameters(), strict=True)
    )


def test_a_released_folder_that_lacks_a_tensor_is_refused(released, tmp_path):
    index = json.loads((released / "model.safetensors.index.json").read_text())
    del index["weight_map"]["thinker.lm_head.weight"]
    for file in released.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    tensors = {
        p: {n: t for n, t in load_file(p).items() if n != "thinker.lm_head.weight"}
        for p in tmp_path.glob("*.safetensors")
    }
    for path, kept in tensors.items():
        save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(InvalidData, match=r"lacks 1 tensors of the model, among them `lm_head\.weight`"):
        load(tmp_path)
