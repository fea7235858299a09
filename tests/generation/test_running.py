"""Rows that join and leave while others are answered: each gets the answer that it would get alone."""

from __future__ import annotations

import pytest
import torch

from c2f_spec.spec.evaluate import Decoding
from runtime.generation.continuous_batch import ContinuousBatch, build_token_chooser
from runtime.generation.generate import TransformersEngine
from runtime.models import MODELS
from runtime.models.batches import prompt_batch
from runtime.models.rows import Reader
from runtime.models.thinker import generation_config, suppressed_tokens
from tests.support import omni
from tests.support.odd_clips import odd

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

MOST_TOKENS = 40


@pytest.fixture(scope="module")
def student():
    """Untrained, but with a liking for the end of the turn: some answers end soon, some late, some not."""
    made = MODELS["tiny"].base(omni.SPEC, 3, None)
    with torch.no_grad():
        made.model.lm_head.weight[made.tokenizer.eos_token_id] *= 2
    made.model.eval()
    return made


def rows_of(student, audio="item"):
    """Clips with sound and picture and without, prompts of different length in no order."""
    reader = Reader(odd(), student.processor, omni.FMT, omni.MEDIA.model_copy(update={"audio": audio}))
    return [reader.row(clip_id) for clip_id in reader.clips]


def alone(student, row):
    """The answer of `generate` of transformers to this row, and whether it ended."""
    batch = prompt_batch([row], student.tokenizer.pad_token_id)
    settings = generation_config(student.tokenizer, MOST_TOKENS, 0.0)
    with torch.no_grad():
        made = student.model.generate(**batch, generation_config=settings)[0, batch["input_ids"].shape[1] :]
    ended = student.tokenizer.eos_token_id in made
    return student.processor.decode(made, skip_special_tokens=True), ended


def answers(student, rows, most, **decoding):
    engine = TransformersEngine(student, Decoding(max_new_tokens=MOST_TOKENS, **decoding), most)
    seeds = {row.id: number for number, row in enumerate(rows)}
    return {s.id: s for ended in engine.answer(iter(rows), seeds) for s in ended}


@pytest.mark.parametrize("audio", ["item", "in_video"])
def test_answers_are_those_of_generate_whoever_else_is_answered(student, audio):
    rows = rows_of(student, audio)
    expected = {row.id: alone(student, row) for row in rows}
    assert {ended for _, ended in expected.values()} == {True, False}
    assert len({len(text) for text, _ in expected.values()}) > 3
    for most in (3, 100):
        said = answers(student, rows, most)
        assert {i: (s.text, s.ended) for i, s in said.items()} == expected
        assert max(s.batch_size for s in said.values()) == min(most, len(rows))


def test_sampled_answers_hang_on_their_seeds_whoever_else_is_answered(student):
    rows = rows_of(student)
    found = [
        {i: s.text for i, s in answers(student, rows, most, temperature=0.4, top_p=0.9).items()}
        for most in (1, 3)
    ]
    assert found[0] == found[1]
    assert len({len(text) for text in found[0].values()}) > 10


def test_rows_are_taken_when_there_is_a_place_and_what_left_takes_none(student):
    rows, taken = rows_of(student), []

    def coming():
        for row in rows:
            taken.append(row.id)
            yield row

    engine = TransformersEngine(student, Decoding(max_new_tokens=MOST_TOKENS), 8)
    done = 0
    for ended in engine.answer(coming(), {}):
        assert len(taken) <= done + 8
        done += len(ended)
    assert done == len(rows)


def test_what_left_takes_no_place(student):
    rows = {row.id: row for row in rows_of(student)[:6]}
    choose = build_token_chooser(Decoding(), suppressed_tokens(student.tokenizer), torch.device("cpu"))
    running = ContinuousBatch(student, choose, MOST_TOKENS)
    assert running.add(list(rows.values()), [None] * 6) == []
    for written in range(1, MOST_TOKENS):
        for answer in running.step():
            del rows[answer.id]
        longest = max((len(row.prompt) + written for row in rows.values()), default=0)
        assert running.size == (len(rows), longest)
    assert running.size == (0, 0)
