"""Students: made, saved, loaded, and what of a clip reaches them."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import itertools
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.sections import QwenOmni, Tiny
from runtime.media import decode
from runtime.models import MODELS, tiny
from runtime.models import rows as rows_module
from runtime.models.batches import media_batch, prompt_batch
from runtime.models.rows import Reader
from runtime.models.thinker import freeze, generation_config, load, save, suppressed_tokens
from runtime.text.prompts import HEADINGS
from tests.support import omni

TAGS = ("<polarity>", "</polarity>", "<think>", "</think>", "<score>", "</score>")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save(omni.student(), folder)
    return folder


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_base_is_a_pure_function_of_spec_and_seed():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    base = MODELS["tiny"].base
    first, again, other = (base(omni.SPEC, seed, None).model.state_dict() for seed in (1, 1, 2))
    assert equal(first, again)
    assert not equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_tokenizer_is_the_same_in_another_process_and_evaluation_needs_no_trainer():
    code = (
        "import sys, hashlib, runtime.stages.evaluate\n"
        "from runtime.models.tiny import make_tokenizer\n"
        "print(hashlib.sha256(make_tokenizer().backend_tokenizer.to_str().encode()).hexdigest())\n"
        "print([m for m in ('trl', 'peft', 'datasets', 'pandas', 'sklearn', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest, loaded = done.stdout.splitlines()
    here = tiny.make_tokenizer().backend_tokenizer.to_str().encode()
    assert digest == hashlib.sha256(here).hexdigest()
    assert loaded == "[]"


@pytest.mark.parametrize(
    "text",
    ["It's  odd -- 3.5 stars!\n\n", "节奏很慢。😀", "(a) <polarity>Negative</polarity>\n\n<think>\n1."],
)
def test_tokenizer_writes_any_text(text):
    tokenizer = omni.student().tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_tags_are_tokens_that_decoding_keeps_and_phrases_are_one_token():
    tokenizer = omni.student().tokenizer
    for text in (*TAGS, f"1. {HEADINGS['en'][0]}", f"4. {HEADINGS['zh'][3]}"):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert len(ids) == 1
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_special_tokens_are_never_generated_but_the_end_of_the_turn():
    tokenizer = omni.student().tokenizer
    never = suppressed_tokens(tokenizer)
    assert tokenizer.convert_tokens_to_ids("<|audio_bos|>") in never
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") in never
    assert tokenizer.eos_token_id not in never
    assert not set(never) & {tokenizer.convert_tokens_to_ids(tag) for tag in TAGS}
    batch = prompt_batch([omni.reader().row("toy-00")], tokenizer.pad_token_id)
    torch.manual_seed(0)
    settings = generation_config(tokenizer, 200, 5.0)
    written = omni.student().model.generate(**batch, generation_config=settings)[0].tolist()
    answer = written[batch["input_ids"].shape[1] :]
    assert not set(itertools.takewhile(lambda token: token != tokenizer.eos_token_id, answer)) & set(never)


def test_save_and_load_are_bit_equal(saved):
    loaded = load(saved)
    assert equal(loaded.model.state_dict(), omni.student().model.state_dict())
    text = "<|im_start|>user\n" + TAGS[0]
    assert loaded.tokenizer.encode(text) == omni.student().tokenizer.encode(text)
    again = Reader(omni.prepared(), loaded.processor, omni.FMT, omni.MEDIA).row("toy-03")
    assert again.prompt == omni.reader().row("toy-03").prompt
    assert equal(again.media, omni.reader().row("toy-03").media)


def test_load_refuses_a_folder_that_lacks_a_tensor(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    name = next(n for n in weights if "embed_tokens" in n)
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidData, match=r"lacks 1 tensors.*embed_tokens"):
        load(tmp_path)
    with pytest.raises(InvalidData, match="holds no model"):
        load(tmp_path / "nowhere")


def test_released_weights_are_read_from_their_staged_folder(saved):
    spec = QwenOmni(model="Qwen/Qwen2.5-Omni-7B", revision="0" * 40)
    kind = MODELS["qwen_omni"]
    student = kind.base(spec, 1, saved)
    assert equal(student.model.state_dict(), omni.student().model.state_dict())
    freeze(student.model, kind.frozen(spec))
    trained = {name for name, p in student.model.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith(("model.language_model.", "lm_head.")) for name in trained)
    with pytest.raises(InvalidStageSpec, match=r"Qwen/Qwen2\.5-Omni-7B"):
        kind.base(spec, 1, None)
    with pytest.raises(LookupError, match="nothing_like_it"):
        freeze(student.model, ("nothing_like_it",))


def test_every_parameter_of_the_tiny_student_is_trained():
    student = MODELS["tiny"].base(omni.SPEC, 0, None)
    freeze(student.model, MODELS["tiny"].frozen(omni.SPEC))
    assert all(p.requires_grad for p in student.model.parameters())


@pytest.mark.parametrize(("hidden", "layers"), [(32, 1), (96, 2), (512, 1)])
def test_every_allowed_width_gives_a_model(hidden, layers):
    student = MODELS["tiny"].base(Tiny(kind="tiny", hidden=hidden, layers=layers), 0, None)
    with torch.no_grad():
        logits = student.model(**prompt_batch([omni.reader().row("toy-00")], 0)).logits
    assert logits.isfinite().all()


def test_a_batch_gives_what_each_row_gives_alone():
    some = [omni.reader().row(f"toy-0{i}") for i in (0, 1, 3)]
    model, padding = omni.student().model, omni.student().tokenizer.pad_token_id
    with torch.no_grad():
        together = model(**prompt_batch(some, padding)).logits[:, -1]
        alone = torch.cat([model(**prompt_batch([row], padding)).logits[:, -1] for row in some])
    assert len({len(row.prompt) for row in some}) > 1
    assert torch.allclose(together, alone, atol=1e-5)


def test_prompt_holds_media_in_order_and_text():
    row, processor = omni.reader().row("toy-03"), omni.student().processor
    text = processor.tokenizer.decode(row.prompt)
    places = [
        text.index(part) for part in ("<|vision_bos|>", "<|audio_bos|>", "not bad at all, I would say 3")
    ]
    assert places == sorted(places)
    assert "a number from -4 (strongly negative) to 4 (strongly positive)" in text
    assert text.endswith("<|im_start|>assistant\n")
    assert row.prompt.count(processor.video_token_id) == int(row.media["video_grid_thw"].prod()) // 4 == 8
    frames = row.media["feature_attention_mask"].shape[1]
    assert row.media["input_features"].shape == (1, tiny.MELS, frames)
    assert row.media["feature_attention_mask"].all()
    assert row.media["video_second_per_grid"].tolist() == [1.0]  # four frames in two seconds, read in pairs
    sound = decode.audio(omni.prepared() / "clips" / "toy-03.mp4")
    assert frames == -(-len(sound) // 160)


def test_prompt_may_name_another_range():
    other = Reader(omni.prepared(), omni.student().processor, omni.FMT, omni.MEDIA, score_range=(-1.0, 1.0))
    assert "a number from -1 (strongly negative) to 1" in omni.student().tokenizer.decode(
        other.row("toy-00").prompt
    )


def test_media_that_did_not_arrive_are_an_error():
    row, token = omni.reader().row("toy-00"), omni.student().processor
    for lost in (token.video_token_id, token.audio_token_id):
        without = dataclasses.replace(row, prompt=tuple(i for i in row.prompt if i != lost))
        with pytest.raises(InvalidData, match="toy-00"):
            omni.reader()._assert_media_arrived(without)


def test_sound_longer_than_the_student_hears_is_an_error():
    deaf = copy.deepcopy(omni.student().processor)
    deaf.feature_extractor = type(deaf.feature_extractor)(feature_size=tiny.MELS, chunk_length=1)
    with pytest.raises(InvalidData, match=r"toy-00.* 2\.0 s of sound, the student hears 1 s"):
        Reader(omni.prepared(), deaf, omni.FMT, omni.MEDIA).row("toy-00")


def test_rows_are_read_once_and_the_memory_for_them_is_bounded(monkeypatch):
    fresh = Reader(omni.prepared(), omni.student().processor, omni.FMT, omni.MEDIA)
    row = fresh.row("toy-00")
    assert fresh.row("toy-00") is row
    monkeypatch.setattr(rows_module, "CACHE_BYTES", 2 * row.bytes)
    for i in (1, 2):
        fresh.row(f"toy-0{i}")
    assert fresh.row("toy-02") is fresh.row("toy-02")
    assert fresh.row("toy-00") is not row
    assert equal(fresh.row("toy-00").media, row.media)


def test_a_split_without_clips_is_an_error():
    with pytest.raises(InvalidData, match="valid"):
        omni.reader().ids("valid")


def test_media_of_different_lengths_are_padded_with_a_mask():
    row = omni.reader().row("toy-00")
    short = dict(row.media)
    short["input_features"], short["feature_attention_mask"] = (
        row.media[name][..., :100] for name in ("input_features", "feature_attention_mask")
    )
    batch = media_batch([row, dataclasses.replace(row, media=short)])
    length = row.media["feature_attention_mask"].shape[1]
    assert batch["feature_attention_mask"].sum(dim=1).tolist() == [length, 100]
    assert batch["video_grid_thw"].shape == (2, 3)
    assert batch["pixel_values_videos"].shape[0] == 2 * row.media["pixel_values_videos"].shape[0]
