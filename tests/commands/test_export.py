"""A trained student for use without this project: it loads in plain transformers, and answers as it was evaluated."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from datasets import load_dataset
from safetensors.torch import load_file

from c2f_spec.errors import InvalidData
from runtime.commands import predict
from runtime.commands.export import Prompt, export
from runtime.commands.export import chains as chains_of
from runtime.models.thinker import load
from runtime.stages import evaluate
from runtime.text.clips import read_manifest, write_jsonl, write_manifest
from tests.support.omni import MEDIA, NOISE, chains, context, lines, prepared, skilled

pytestmark = [pytest.mark.filterwarnings(each) for each in NOISE]
JOB = {
    "spec": {"format": {"kind": "c2f"}, "media": MEDIA.model_dump(), "student": {"kind": "tiny"}},
    "keys": {"sft-0123456789": "0" * 64},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export({"model": skilled(), "prepare": prepared(), "filter": chains()}, folder, JOB)
    return folder


def test_the_layout_is_that_of_the_hub_and_no_tensor_is_lost(exported):
    saved = load_file(skilled() / "model" / "model.safetensors")
    tensors = load_file(exported / "model.safetensors")
    assert set(tensors) == set(saved)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in saved.items())
    assert all(name.startswith("thinker.") for name in tensors)
    config = json.loads((exported / "config.json").read_text())
    assert config["model_type"] == "qwen2_5_omni"
    assert config["architectures"] == ["Qwen2_5OmniModel"]
    assert config["enable_audio_output"] is False


def test_plain_transformers_loads_it(exported):
    import transformers  # after `runtime.models.patches`

    thinker, found = transformers.Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
        exported, dtype="auto", output_loading_info=True
    )
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    ours = load(skilled() / "model").model
    both = zip(thinker.state_dict().values(), ours.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in both)
    assert transformers.Qwen2_5OmniProcessor.from_pretrained(exported).tokenizer.eos_token == "<|im_end|>"


def test_predict_gives_the_answers_of_the_evaluation(exported, tmp_path, capsys):
    folder = tmp_path / "clips"
    (folder / "deeper").mkdir(parents=True)
    for i, clip in enumerate(read_manifest(prepared(), "test")):
        path = folder / ("deeper" if i % 2 else "") / f"{clip.id}.mp4"
        shutil.copy(prepared() / clip.media, path)
        path.with_suffix(".txt").write_text(clip.text + "\n")
    (folder / "broken.mp4").write_bytes(b"not a clip")
    (folder / "broken.txt").write_text("hello")

    section = {"decoding": {"max_new_tokens": 512}, "score_space": "prompt_range"}
    ctx = context(
        tmp_path / "stage", "evaluate", {"prepare": prepared(), "model": skilled()}, evaluate=section
    )
    evaluate.run(ctx)
    evaluated = {row["id"]: row for row in lines(ctx.out / "predictions.jsonl")}

    assert predict.main([str(exported), str(folder)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["clip"] for row in rows] == sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*.mp4")
    ), "in the order of their names"
    broken, *rest = rows
    assert broken["error"] == "Invalid data found when processing input"
    assert broken["score"] is None
    said = {row["clip"].removeprefix("deeper/").removesuffix(".mp4"): row for row in rest}
    assert {i: (r["output"], r["score"]) for i, r in said.items()} == {
        i: (r["output"], r["score"]) for i, r in evaluated.items()
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no clips"),
        ({"a.mp4": "", "b.mp4": "", "b.txt": ""}, r"missing transcript of .*a.mp4\n"),
        ({"a.mp4": "", "b.mp4": "", "c.mp4": "", "b.txt": ""}, "missing transcript of .*a.mp4 and 1 others"),
    ],
)
def test_a_missing_transcript_is_reported(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidData, match=message):
        predict.clips(tmp_path, without_text=False)
    if files:
        assert all(isinstance(text, str) for _, text in predict.clips(tmp_path, without_text=True))


def test_a_folder_that_export_did_not_make(tmp_path):
    with pytest.raises(InvalidData, match="is not an exported student"):
        predict.read_export_facts(tmp_path)


def test_clips_of_one_name_stay_apart_and_what_a_clip_lacks_is_not_named(tmp_path):
    """CH-SIMS and MOSI number the clips of each video from 1: clips/video_0001/0001.mp4, clips/video_0002/0001.mp4."""
    folder, kept = tmp_path / "prepared", tmp_path / "kept"
    named = [
        replace(clip, media=f"clips/video_{i}/0001.mp4")
        for i, clip in enumerate(read_manifest(prepared())[:3])
    ]
    named[1], named[2] = replace(named[1], lacks=("audio",)), replace(named[2], lacks=("video",))
    for clip in named:
        (folder / clip.media).parent.mkdir(parents=True)
        (folder / clip.media).write_text(f"what is seen in {clip.id}")
    write_manifest(folder, named)
    kept.mkdir()
    write_jsonl(kept / "chains.jsonl", ({"id": clip.id, "text": "so"} for clip in named))

    asked = Prompt("What of {text}?", "en", interleaved=False)
    chains_of(kept, folder, asked, tmp_path / "apart")
    rows = lines(tmp_path / "apart" / "train.jsonl")
    for row, clip in zip(rows, named, strict=True):
        for place in (*row["videos"], *row["audios"]):
            assert (tmp_path / "apart" / place).read_text() == f"what is seen in {clip.id}"
    assert [(len(row["videos"]), len(row["audios"])) for row in rows] == [(1, 1), (1, 0), (0, 1)]
    said = [row["messages"][0]["content"] for row in rows]
    assert [text.count("<video>") for text in said] == [1, 1, 0]
    assert [text.count("<audio>") for text in said] == [1, 0, 1]
    assert "There is no audio." in said[1]
    assert "There is no video." in said[2]

    chains_of(kept, folder, asked._replace(interleaved=True), tmp_path / "within")
    rows = lines(tmp_path / "within" / "train.jsonl")
    assert [(len(row["videos"]), len(row["audios"])) for row in rows] == [(1, 0), (1, 0), (0, 1)]


def test_chains_are_conversations_beside_their_clips(exported):
    from trl.data_utils import is_conversational

    rows = load_dataset("json", data_files=str(exported / "chains" / "train.jsonl"), split="train")
    assert len(rows) == 16
    assert is_conversational(rows[0])
    user, assistant = rows[0]["messages"]
    assert user["content"].startswith("<video><audio>You are a senior multimodal sentiment analysis expert.")
    assert "(a dull film 0)" in user["content"]
    assert assistant["content"] == lines(chains() / "chains.jsonl")[0]["text"]
    for name in ("videos", "audios"):
        copy, clip = exported / "chains" / rows[0][name][0], prepared() / read_manifest(prepared())[0].media
        assert copy.read_bytes() == clip.read_bytes()
