"""Evaluation: a prediction for each clip, whose range the prompt names, and no hints."""

from __future__ import annotations

import dataclasses

import pytest

from c2f_spec.errors import StageSpecWrong
from runtime.models import MODELS
from runtime.models.student import generation, save
from runtime.stages import evaluate
from runtime.training.rows import Reader
from tests import omni

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]


def predict(folder, inputs=None, **spec):
    ctx = omni.context(folder, "evaluate", {"prepare": omni.prepared(), **(inputs or {})}, **spec)
    return evaluate.run(ctx), omni.lines(ctx.out / "predictions.jsonl"), ctx


def test_a_prediction_for_each_clip_of_the_test_split_in_order(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(MODELS["tiny"], rows_generated=2))
    summary, rows, _ = predict(tmp_path)
    assert [row["id"] for row in rows] == omni.reader().ids("test")
    assert rows[0].keys() == {"id", "label", "true", "output", "polarity", "score", "well_formed", "ended"}
    assert [(row["label"], row["true"]) for row in rows][:2] == [(-3.1, "negative"), (2.4, "positive")]
    assert summary == {"clips": 5, "well_formed": 0, "scored": 0, "ended": summary["ended"]}


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


def test_a_missing_checkpoint_is_not_replaced_by_the_base_model(tmp_path):
    with pytest.raises(StageSpecWrong, match="`grpo`"):
        predict(tmp_path, checkpoint="grpo")


def test_a_begun_answer_is_refused():
    row = omni.reader().row("toy-16")
    begun = dataclasses.replace(
        row, prompt=(*row.prompt, *omni.student().tokenizer.encode("<polarity>Negative"))
    )
    settings = generation(omni.student().tokenizer, 2, 0.0)
    assert len(evaluate.answers(omni.student(), [row], settings)) == 1
    with pytest.raises(AssertionError, match="hint"):
        evaluate.answers(omni.student(), [begun], settings)


@pytest.mark.parametrize(
    ("space", "named", "expected"),
    [("prompt_range", "from -4 ", 0.5), ("as_is", "from -1 ", 0.5), ("rescale_from_train", "from -1 ", 2.0)],
)
def test_score_space(tmp_path, space, named, expected):
    """A model trained on [-1, 1] says 0.5; the evaluated set has [-4, 4]."""
    ctx = omni.context(tmp_path, "evaluate", {"prepare": omni.prepared()}, train_range=[-1.0, 1.0])
    reader, scale = evaluate.questions(ctx, omni.student(), space)
    assert named in omni.student().tokenizer.decode(reader.row("toy-16").prompt)
    output = "<polarity>Positive</polarity><think>x</think><score>0.5</score>"
    made = evaluate.prediction(reader.clips["toy-16"], output, ctx.format, scale)
    assert (made["score"], made["polarity"], made["well_formed"]) == (expected, "positive", True)


def test_an_answer_without_a_score_stays_without(tmp_path):
    ctx = omni.context(tmp_path, "evaluate", {"prepare": omni.prepared()}, train_range=[-1.0, 1.0])
    reader, scale = evaluate.questions(ctx, omni.student(), "rescale_from_train")
    made = evaluate.prediction(reader.clips["toy-16"], "<polarity>Positive", ctx.format, scale)
    assert (made["score"], made["polarity"], made["well_formed"]) == (None, None, False)


def test_rescaling_keeps_the_ends_and_the_middle():
    for score, expected in ((-1.0, -4.0), (0.0, 0.0), (1.0, 4.0), (0.25, 1.0)):
        assert evaluate.rescale(score, (-1.0, 1.0), (-4.0, 4.0)) == expected
    assert evaluate.rescale(0.0, (-1.0, 1.0), (0.0, 10.0)) == 5.0


def test_opening_of_the_turn_ends_every_prompt():
    opening = evaluate.turn_opening(omni.student().processor)
    assert opening == "<|im_start|>assistant\n"
    other = Reader(omni.prepared(), omni.student().processor, omni.FMT, omni.MEDIA)
    assert omni.student().tokenizer.decode(other.row("toy-20").prompt).endswith(opening)
