"""Hinted answers that are drawn in one generation with the first ones: when, of which groups, and that nothing else changes."""

from __future__ import annotations

import json

import pytest
import torch

from runtime.training.hints.groups import StepShape
from runtime.training.hints.history import History
from runtime.training.hints.schedule import groups_to_hint_early
from tests.support import omni
from tests.support.hinted import TWO, generated, make, policy

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

IDS = [f"toy-{i:02}" for i in range(4)]
ALL = [0, 1, 2, 3]
LIST = {"kind": "offline_list", "uri": "hard.txt", "digest": "0" * 64}


def after(hinted, clips=IDS):
    """A history whose last step hinted so many of the clips."""
    history, n = History(), len(clips)
    flags = [i < hinted for i in range(n)]
    for step, which in ((1, [True] * n), (2, flags)):
        history.record_visit(
            step, clips, hard=which, hinted=which, right=[0] * n, answers=4, rates=[None] * len(which)
        )
    return history


@pytest.mark.parametrize(
    ("hint", "hinted", "expected"),
    [
        ({}, 0, []),  # as long as nothing is hinted nothing is drawn in vain
        ({}, 1, []),  # 12 of 16 rows in vain
        ({}, 2, []),  # 8 of 16, as many as a generation of its own takes
        ({}, 3, ALL),
        ({"group": {"kind": "replace_k", "k": 2}, "normalise": "separate"}, 1, ALL),  # 6 of 8 rows
        ({"group": {"kind": "append", "k": 2}}, 1, ALL),
        ({"hard_policy": "keep"}, 4, []),
        ({"hard_policy": "drop"}, 4, []),
        ({"warmup_steps": 5}, 4, []),
        ({"stop_after": 0.2}, 4, []),
        ({"trigger": {"kind": "always"}}, 0, ALL),
        ({"trigger": {"kind": "always"}, "hard_policy": "keep"}, 0, []),
        ({"trigger": LIST}, 4, [1, 3]),
    ],
)
def test_they_are_drawn_ahead_where_that_takes_less_time(hint, hinted, expected):
    reader = omni.reader()
    given = policy(hint, reader, omni.student().tokenizer)
    given = type(given)(
        given.spec, given.hint, given.facts, given.polarity, 1, frozenset({"toy-01", "toy-03"})
    )
    assert (
        groups_to_hint_early(given, after(hinted), IDS, StepShape(4, 16, 1), 8, step=3, steps=10) == expected
    )


def test_groups_under_a_limit_are_chosen_before_the_answers_where_the_trigger_is_known_early():
    given = policy(
        {"trigger": {"kind": "always"}, "max_hinted_fraction": 0.5}, omni.reader(), omni.student().tokenizer
    )
    found = groups_to_hint_early(given, after(2), IDS, StepShape(4, 16, 1), 8, step=3, steps=10)
    assert found == [2, 3], "those that were hinted least"


def test_dropout_takes_groups_out_before_they_are_drawn():
    given = policy({"dropout": 0.5}, omni.reader(), omni.student().tokenizer)
    found = [
        groups_to_hint_early(given, after(4), IDS, StepShape(4, 16, 1), 8, step=step, steps=99)
        for step in range(20)
    ]
    assert 20 < sum(map(len, found)) < 60


def test_a_training_that_goes_on_draws_what_it_would_have_drawn():
    for hinted in range(5):
        history = History.from_json(json.loads(json.dumps(after(hinted).to_json())))
        assert history.recent_hint_share() == after(hinted).recent_hint_share() == hinted / 4
    assert History().recent_hint_share() == 0


def bad(prompts, **_):
    """The first clip is hard, the second is not."""
    return [1.0 if clip == "toy-00" else 2.0 for clip in prompts]


@pytest.mark.parametrize("group", [{"kind": "replace_all"}, {"kind": "append", "k": 2}])
def test_one_generation_ends_in_the_answers_of_two(tmp_path, group):
    """Sampled greedily, so that what is drawn beside an answer does not change it."""
    trainer = make(tmp_path, rewards=[bad], hint={"trigger": TWO, "group": group}, top_k=1)
    rows, own = [], trainer._generate_single_turn
    trainer._generate_single_turn = lambda prompts, *rest: (rows.append(len(prompts)), own(prompts, *rest))[1]
    outputs = []
    for history in (History(), after(1, ["toy-00", "toy-01"])):
        trainer.history = history
        outputs.append(generated(trainer))
    two, one = outputs
    hinted = 4 if group["kind"] == "replace_all" else 2
    assert rows == [8, hinted, 8 + 2 * hinted]
    assert one.keys() == two.keys()
    assert all(
        torch.equal(one[name], two[name])
        for name in one
        if isinstance(one[name], torch.Tensor) and "logps" not in name
    )
    assert int((one["forced"] > 0).sum()) == hinted
