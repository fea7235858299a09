"""The teacher that transformers runs: it sees what it is shown, and draws by each clip's own seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.sections import C2f, Media
from c2f_spec.spec.teacher import TransformersTeacher
from runtime.endpoints.replies import RequestFailed
from runtime.media.speaker import render
from runtime.teachers.questions import Question, Task
from runtime.teachers.transformers import GumbelSampler, Transformers, load
from tests.support import tiny_teacher
from tests.support.distil_world import MEDIA, context, prepared, run

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")

SPEC = TransformersTeacher(model="a/b", revision="0" * 40, max_new_tokens=8)


@pytest.fixture(scope="module")
def task():
    return Task(C2f(), Media(**MEDIA), "en", -3.0, 3.0, "mosi", rendered=True, weights=tiny_teacher.folder())


@pytest.fixture(scope="module")
def teacher(task):
    return Transformers(SPEC, task)


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for n in range(4):
        render(folder / f"{n}.mp4", 3.0 - 2 * n, seed=n, clip=str(n))
    return [Question(f"c{n}", 0, "w", f"Say {n}", folder / f"{n}.mp4", 2.0, seed=n) for n in range(4)]


def texts(replies):
    return [reply.text for reply in replies]


def test_a_clip_is_answered_alike_in_any_company_and_otherwise_with_another_seed(teacher, questions):
    together = texts(teacher.write(questions))
    assert [teacher.write([q])[0].text for q in questions] == together
    other = texts(teacher.write([replace(q, seed=q.seed + 100) for q in questions]))
    assert all(a != b for a, b in zip(together, other, strict=True))


def test_counts_and_ends(teacher, questions):
    (reply,) = teacher.write(questions[:1])
    assert (reply.tokens_out, reply.finish) == (8, "length")
    assert reply.tokens_in > 20
    assert reply.seconds > 0


def test_it_sees_and_hears_the_clip(task, questions):
    """Greedy, and one clip's sentence with another's picture, another's sound, or without them."""
    model, processor = load(task.weights)
    teacher = Transformers.__new__(Transformers)
    teacher._spec, teacher._task, teacher._model, teacher._processor = SPEC, task, model, processor

    def scores(question, *, frames_of=None, sound_of=None):
        seen = teacher._decode(question)
        seen = replace(seen, frames=teacher._decode(frames_of).frames) if frames_of else seen
        seen = replace(seen, sound=teacher._decode(sound_of).sound) if sound_of else seen
        with torch.inference_mode():
            return model(**teacher._inputs([question], [seen])).logits[0, -1]

    first, other = questions[0], questions[3]
    base = scores(first)
    torch.testing.assert_close(base, scores(first, frames_of=first), rtol=0, atol=0)
    for changed in (
        scores(first, frames_of=other),
        scores(first, sound_of=other),
        scores(replace(first, lacks=("audio",))),
        scores(replace(first, lacks=("video",))),
    ):
        assert (changed - base).abs().max() > 1e-5


def test_a_clip_that_cannot_be_decoded_fails_alone(teacher, questions, tmp_path):
    (tmp_path / "torn.mp4").write_bytes(b"no film")
    torn = replace(questions[1], media=tmp_path / "torn.mp4")
    first, failed, third = teacher.write([questions[0], torn, questions[2]])
    assert isinstance(failed, RequestFailed)
    assert failed.reason == "media"
    assert [first.text, third.text] == texts(teacher.write([questions[0], questions[2]]))


def test_what_is_drawn_has_the_distribution_of_the_nucleus():
    """Of 4,000 rows with the same scores: no token beyond the nucleus, and frequencies within 4 deviations."""
    rows, temperature = 4000, 0.5
    scores = torch.tensor([2.0, 1.5, 1.0, 0.0, -1.0])
    drawn = GumbelSampler(range(rows), temperature, 0.9, torch.device("cpu"))(
        None, scores.repeat(rows, 1)
    ).argmax(-1)
    wanted = (scores / temperature).softmax(-1)
    wanted[3:] = 0  # the first three have 0.96 of it, the first two 0.88
    wanted /= wanted.sum()
    found = torch.bincount(drawn, minlength=5) / rows
    assert (found - wanted).abs().max() < 4 * (0.25 / rows) ** 0.5
    assert found[3:].sum() == 0


def test_weights_that_are_not_there_or_not_whole_are_refused(task, tmp_path):
    with pytest.raises(InvalidStageSpec, match="model add a/b"):
        Transformers(SPEC, replace(task, weights=None))
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(task.weights, tmp_path / "w")
    tensors = load_file(tmp_path / "w" / "model.safetensors")
    del tensors["thinker.lm_head.weight"]
    save_file(tensors, tmp_path / "w" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InvalidData, match=r"lacks 1 tensors of the model, among them `lm_head.weight`"):
        load(tmp_path / "w")


def test_the_stage_runs_with_it_and_goes_on_after_a_stop(task, tmp_path):
    """Ten clips in batches of eight, twice; the second time the first batch is in the journal."""
    folder = prepared(tmp_path / "p", 10)
    spec = {"kind": "transformers", "model": "a/b", "revision": "0" * 40, "max_new_tokens": 4, "retry": 1}
    found = []
    for name in ("whole", "stopped"):
        ctx = context(tmp_path, folder, store=tmp_path / name, teacher=spec)
        ctx.inputs["weights"] = task.weights
        if name == "stopped":
            (left,) = (tmp_path / "whole").rglob("journal/*.jsonl")
            journal = tmp_path / name / left.relative_to(tmp_path / "whole")
            journal.parent.mkdir(parents=True)
            journal.write_bytes(b"\n".join(left.read_bytes().split(b"\n")[:8]) + b"\n")
        summary, made = run(ctx)
        found.append(made["chains"])
        assert (summary["kept"], summary["replies"]) == (10, 20)
    assert found[0] == found[1]
