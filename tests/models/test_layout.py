"""The released layout of an omni model: read into a student, written for vLLM, and the same tensors both ways."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from c2f_spec.errors import InvalidData
from c2f_spec.spec.sections import QwenOmni
from runtime.models import MODELS
from runtime.models.layout import hub_name, is_released
from runtime.models.thinker import Student, freeze, in_released_layout, load, save
from tests.support import omni

SPEC = QwenOmni(model="Qwen/Qwen2.5-Omni-7B", revision="0" * 40)
KIND = MODELS["qwen_omni"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The tiny student as the hub would have it: bfloat16, two parts with an index, a talker beside the thinker."""
    folder = tmp_path_factory.mktemp("hub")
    save(omni.student(), folder)
    tensors = {n: t.to(torch.bfloat16) for n, t in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    tensors |= {"talker.codec_head.weight": torch.ones(2, 2), "token2wav.bias": torch.ones(3)}
    names, where = sorted(tensors), {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{i:05}-of-00002.safetensors"
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


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
    assert in_released_layout(released, tmp_path / "unused") == released


def bits(folder):
    """Return the tensors of a folder by name, as raw bytes, whatever their shards."""
    return {
        name: tensor.contiguous().view(torch.uint8)
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


def assert_same_bits(one, other):
    one, other = bits(one), bits(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("shards", [1, 3])
def test_what_is_saved_again_is_the_same(tmp_path, shards):
    size = sum(p.numel() * 4 for p in omni.student().model.parameters())
    save(omni.student(), tmp_path / "first")
    save(omni.student(), tmp_path / "again", shard_bytes=SHARDS[shards] * size // 10)
    assert len(list((tmp_path / "again").glob("*.safetensors"))) == shards
    save(load(tmp_path / "again"), tmp_path / "third")
    assert_same_bits(tmp_path / "first", tmp_path / "again")
    assert_same_bits(tmp_path / "first", tmp_path / "third")
    assert is_released(tmp_path / "third")


SHARDS = {1: 11, 3: 5}
"""Tenths of the size of all tensors that give so many files."""


def test_a_checkpoint_in_the_layout_of_the_thinker_becomes_a_released_one(tmp_path):
    student = omni.student()
    student.model.save_pretrained(tmp_path / "thinker")
    student.processor.save_pretrained(tmp_path / "thinker")
    save(student, tmp_path / "ours")
    assert not is_released(tmp_path / "thinker")
    released_copy = in_released_layout(tmp_path / "thinker", tmp_path / "copy")
    assert_same_bits(released_copy, tmp_path / "ours")


def test_names_of_the_hub_beside_the_configuration_of_the_thinker_are_mended(tmp_path):
    save(omni.student(), tmp_path / "ours")
    load(tmp_path / "ours").model.save_pretrained(tmp_path / "mixed")
    omni.student().processor.save_pretrained(tmp_path / "mixed")
    assert not is_released(tmp_path / "mixed")
    assert_same_bits(in_released_layout(tmp_path / "mixed", tmp_path / "copy"), tmp_path / "ours")


def test_a_tied_head_is_saved_once_and_stays_tied(tmp_path):
    config = copy.deepcopy(omni.student().model.config)
    config.text_config.tie_word_embeddings = config.tie_word_embeddings = True
    model = type(omni.student().model)(config)
    save(Student(model, omni.student().processor), tmp_path / "tied")
    assert "thinker.lm_head.weight" not in bits(tmp_path / "tied")
    again = load(tmp_path / "tied").model
    assert again.lm_head.weight is again.model.language_model.embed_tokens.weight
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
    save(Student(again, omni.student().processor), tmp_path / "again")
    assert_same_bits(tmp_path / "tied", tmp_path / "again")


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
