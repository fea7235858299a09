"""Evaluation: a prediction for each clip, whose range the prompt names, and no hints."""

from __future__ import annotations

import dataclasses
import shutil
import statistics

import pytest
import torch

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.sections import Direct
from runtime.generation.continuous_batch import build_token_chooser
from runtime.generation.generate import (
    GeneratedAnswer,
    TransformersEngine,
    estimate_prompt_tokens,
    longest_first,
    turn_opening,
)
from runtime.models import MODELS
from runtime.models.rows import Reader
from runtime.models.thinker import save
from runtime.stages import evaluate
from tests.support import omni

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]


def predict(folder, inputs=None, **spec):
    ctx = omni.context(folder, "evaluate", {"prepare": omni.prepared(), **(inputs or {})}, **spec)
    return evaluate.run(ctx), omni.lines(ctx.out / "predictions.jsonl"), ctx


def generated_answer(output, *, ended=True):
    return GeneratedAnswer("toy-16", output, ended, 0.5, 2)


def test_a_prediction_for_each_clip_of_the_test_split_in_order(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], rows_generated=2))
    summary, rows, ctx = predict(tmp_path)
    assert [row["id"] for row in rows] == omni.reader().ids("test")
    keys = {"id", "label", "true", "output", "polarity", "score", "well_formed", "ended", "failure"}
    assert rows[0].keys() == keys
    assert [(row["label"], row["true"]) for row in rows][:2] == [(-3.1, "negative"), (2.4, "positive")]
    assert summary == {"clips": 5, "well_formed": 0, "scored": 0, "ended": 0, "failed": {"cut short": 5}}
    assert rows[0]["failure"] == {"reason": "cut short", "message": "no <score>"}
    times = omni.lines(ctx.out / "times.jsonl")
    assert [row["id"] for row in times] == [row["id"] for row in rows]
    assert all(row["seconds"] > 0 and row["together"] in (1, 2) for row in times)


def test_base_is_the_model_that_training_starts_from(tmp_path):
    save(MODELS["tiny"].base(omni.SPEC, 3, None), tmp_path / "saved" / "model")
    base = predict(tmp_path / "base")[1]
    assert base == predict(tmp_path / "same", {"model": tmp_path / "saved"})[1]
    assert base != predict(tmp_path / "tuned", {"model": omni.tuned()}, checkpoint="sft")[1]


def test_sampling_is_repeated_by_the_seed(tmp_path):
    decoding = {"decoding": {"max_new_tokens": 8, "temperature": 1.0}}
    first, again = (predict(tmp_path / name, evaluate=decoding)[1] for name in ("first", "again"))
    assert first == again
    assert first != predict(tmp_path / "greedy")[1]


def test_a_sampled_answer_hangs_on_its_seed_and_not_on_its_batch(tmp_path, monkeypatch):
    decoding = {"decoding": {"max_new_tokens": 8, "temperature": 1.0}}
    found = []
    for most in (1, 3, 100):
        monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], rows_generated=most))
        found.append(predict(tmp_path / str(most), evaluate=decoding)[1])
    assert found[0] == found[1] == found[2]
    assert len({row["output"] for row in found[0]}) > 1


def test_a_nucleus_of_nothing_is_greedy(tmp_path):
    narrow = {"decoding": {"max_new_tokens": 8, "temperature": 1.0, "top_p": 1e-6}}
    assert predict(tmp_path / "narrow", evaluate=narrow)[1] == predict(tmp_path / "greedy")[1]


def test_draws_follow_the_distribution():
    """20,000 draws of four tokens at temperature 2, of the nucleus that leaves out the last."""
    logits = torch.log(torch.tensor([0.64, 0.25, 0.09, 0.02]))
    counts = torch.zeros(4)
    choose = build_token_chooser(Decoding(temperature=2.0, top_p=0.9), [], torch.device("cpu"))
    generators = [torch.Generator().manual_seed(seed) for seed in range(500)]
    for _ in range(40):
        counts += torch.bincount(choose(logits.repeat(500, 1), generators), minlength=4)
    roots = torch.tensor([0.8, 0.5, 0.3, 0.0])  # at temperature 2 probabilities are as their roots
    assert torch.allclose(counts / counts.sum(), roots / roots.sum(), atol=0.012)


def test_the_longest_prompts_come_first_and_equal_ones_stay_in_order():
    one = omni.reader().clips["toy-16"]
    clips = [
        dataclasses.replace(one, id=str(n), text="x" * 9 * size, duration_s=seconds)
        for n, (size, seconds) in enumerate([(5, 2), (9, 2), (5, 2), (5, 9), (1, 2), (9, 2), (3, 2)])
    ]
    assert "".join(clip.id for clip in longest_first(clips, omni.MEDIA)) == "3150264"


def test_the_estimated_length_orders_clips_as_their_prompts_do():
    rows = [omni.reader().row(clip_id) for clip_id in omni.reader().clips]
    guesses = [estimate_prompt_tokens(omni.reader().clips[row.id], omni.MEDIA) for row in rows]
    assert statistics.correlation(guesses, [len(row.prompt) for row in rows]) > 0.9


def test_windows_are_the_same_after_an_interruption():
    ids = [str(n) for n in range(64 * 9 + 5)]
    units = {n: ids[n * 64 : (n + 1) * 64] for n in range(10)}
    whole = list(evaluate.windows(ids, units, 32, 1))
    assert [list(window) for window in whole] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert whole[4][9] == ids[576:]
    assert list(evaluate.windows(ids, {3: units[3]}, 32, 1)) == [whole[1]]


def test_a_clip_that_cannot_be_read_has_no_score_and_a_reason(tmp_path):
    for name in ("some", "none"):
        copy = tmp_path / name / "prepared"
        shutil.copytree(omni.prepared(), copy)
        tests = [clip.media for clip in omni.reader().clips.values() if clip.split == "test"]
        for media in tests[:1] if name == "some" else tests:
            (copy / media).write_bytes(b"no film")
        ctx = omni.context(tmp_path / name, "evaluate", {"prepare": copy})
        if name == "none":
            with pytest.raises(InvalidData, match="none of 5 clips can be decoded"):
                evaluate.run(ctx)
            continue
        summary = evaluate.run(ctx)
        first, *others = omni.lines(ctx.out / "predictions.jsonl")
        assert (summary["clips"], summary["failed"]["media"]) == (5, 1)
        assert (first["score"], first["failure"]["reason"]) == (None, "media")
        assert "toy-16" in first["failure"]["message"] or "clips/toy-16.mp4" in first["failure"]["message"]
        assert all(row["failure"]["reason"] == "cut short" for row in others)


@pytest.mark.parametrize(
    ("fmt", "output", "ended", "failure"),
    [
        (None, "<polarity>Positive</polarity><think>x</think><score>high</score>", True, ("unparsable", "no number in <score>")),
        (None, "I cannot say", True, ("unparsable", "no <score>")),
        (None, "<polarity>Positive</polarity><think>and so on and", False, ("cut short", "no <score>")),
        (None, "<polarity>Positive</polarity><think>x</think><score>1</score> and", False, None),
        (Direct(), "positive", True, ("unparsable", "no number")),
        (Direct(), "between 1 and 2", True, ("unparsable", "2 different numbers")),
        (Direct(), "it is 0.4", True, None),
    ],
)  # fmt: skip
def test_why_there_is_no_score(tmp_path, fmt, output, ended, failure):
    made = evaluate.prediction_row(
        omni.reader().clips["toy-16"], generated_answer(output, ended=ended), fmt or omni.FMT, float
    )
    expected = failure and {"reason": failure[0], "message": failure[1]}
    assert made["failure"] == expected
    assert (made["score"] is None) == (failure is not None)


def test_a_missing_checkpoint_is_not_replaced_by_the_base_model(tmp_path):
    with pytest.raises(InvalidStageSpec, match="`grpo`"):
        predict(tmp_path, checkpoint="grpo")


def test_a_begun_answer_is_refused():
    row = omni.reader().row("toy-16")
    begun = dataclasses.replace(
        row, prompt=(*row.prompt, *omni.student().tokenizer.encode("<polarity>Negative"))
    )
    engine = TransformersEngine(omni.student(), Decoding(max_new_tokens=2), 8)
    assert len([said for ended in engine.answer([row], {}) for said in ended]) == 1
    with pytest.raises(AssertionError, match="hint"):
        next(engine.answer([begun], {}))


@pytest.mark.parametrize(
    ("space", "named", "expected"),
    [("prompt_range", "from -4 ", 0.5), ("as_is", "from -1 ", 0.5), ("rescale_from_train", "from -1 ", 2.0)],
)
def test_score_space(tmp_path, space, named, expected):
    """A model trained on [-1, 1] says 0.5; the evaluated set has [-4, 4]."""
    ctx = omni.context(tmp_path, "evaluate", {"prepare": omni.prepared()}, train_range=[-1.0, 1.0])
    reader, scale = evaluate.open_reader(ctx, omni.student(), space)
    assert named in omni.student().tokenizer.decode(reader.row("toy-16").prompt)
    output = "<polarity>Positive</polarity><think>x</think><score>0.5</score>"
    made = evaluate.prediction_row(reader.clips["toy-16"], generated_answer(output), ctx.format, scale)
    assert (made["score"], made["polarity"], made["well_formed"]) == (expected, "positive", True)


def test_an_answer_without_a_score_stays_without(tmp_path):
    ctx = omni.context(tmp_path, "evaluate", {"prepare": omni.prepared()}, train_range=[-1.0, 1.0])
    reader, scale = evaluate.open_reader(ctx, omni.student(), "rescale_from_train")
    made = evaluate.prediction_row(
        reader.clips["toy-16"], generated_answer("<polarity>Positive"), ctx.format, scale
    )
    assert (made["score"], made["polarity"], made["well_formed"]) == (None, None, False)


def test_rescaling_keeps_the_ends_and_the_middle():
    for score, expected in ((-1.0, -4.0), (0.0, 0.0), (1.0, 4.0), (0.25, 1.0)):
        assert evaluate.rescale(score, (-1.0, 1.0), (-4.0, 4.0)) == expected
    assert evaluate.rescale(0.0, (-1.0, 1.0), (0.0, 10.0)) == 5.0


def test_opening_of_the_turn_ends_every_prompt():
    opening = turn_opening(omni.student().processor)
    assert opening == "<|im_start|>assistant\n"
    other = Reader(omni.prepared(), omni.student().processor, omni.FMT, omni.MEDIA)
    assert omni.student().tokenizer.decode(other.row("toy-20").prompt).endswith(opening)
