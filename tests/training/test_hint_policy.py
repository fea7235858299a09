"""Which hard samples are hinted, and what is noted and logged of it: no model, no trainer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.report.curves import grpo_curves
from c2f_spec.spec.hint import AllBelow, Hint
from runtime.training.hints import answer_metrics
from runtime.training.hints.answer_metrics import AnswerFacts
from runtime.training.hints.build_policy import HintsPossibleCheck
from runtime.training.hints.history import History
from runtime.training.hints.schedule import HintPolicy, choose_hinted, decide_groups
from tests.support.hinted import BROKEN, NAMES, RIGHT, WRONG, judged

CLIPS = [f"clip-{i}" for i in range(20)]


def begin_training(spec, steps):
    HintsPossibleCheck(spec).on_train_begin(None, SimpleNamespace(max_steps=steps), None)


def policy(**fields):
    return HintPolicy(
        Hint.model_validate(fields), str, lambda *_: AnswerFacts(1, 1, 1), lambda _: "neutral", seed=7
    )


def hinted(given, step=0, steps=10, hard=None, before=None, clips=CLIPS):
    of = [True] * len(clips) if hard is None else hard
    return choose_hinted(given, clips, of, before or [0] * len(clips), step=step, steps=steps)


def test_hints_begin_after_the_warm_up_and_stop_before_the_end():
    given = policy(warmup_steps=2, stop_after=0.5)
    assert [any(hinted(given, step=step)) for step in range(10)] == [False] * 2 + [True] * 3 + [False] * 5
    assert hinted(policy(), step=9) == [True] * 20
    assert not any(hinted(policy(hard_policy="keep")))
    assert not any(hinted(policy(hard_policy="drop")))


def test_hints_that_would_stop_before_they_begin_are_refused_when_the_steps_are_known():
    spec = policy(warmup_steps=5, stop_after=0.5).spec
    begin_training(spec, 11)
    with pytest.raises(InvalidStageSpec, match="training has 10 steps"):
        begin_training(spec, 10)
    begin_training(policy(hard_policy="keep", warmup_steps=5).spec, 1)


def test_only_hard_samples_are_hinted():
    hard = [i % 3 == 0 for i in range(20)]
    assert hinted(policy(), hard=hard) == hard


def test_dropout_is_chance_and_always_the_same():
    given = policy(dropout=0.3)
    kept = [hinted(given, step=step) for step in range(200)]
    share = sum(map(sum, kept)) / 4000
    assert share == pytest.approx(0.7, abs=0.03)
    assert kept[5] == hinted(given, step=5)
    assert kept[5] != kept[6], "another step, another draw"
    turned = [9, *range(9), *range(10, 20)]
    assert [
        hinted(given, step=5, clips=[CLIPS[i] for i in turned])[turned.index(i)] for i in range(20)
    ] == kept[5]
    other = HintPolicy(given.spec, str, given.facts, given.polarity, seed=8)
    assert hinted(other, step=5) != kept[5]


def test_pitfall_a_wrong_label_is_hard_for_ever_so_hints_are_capped_and_go_first_to_those_hinted_least():
    given = policy(max_hinted_fraction=0.25)
    before = [9] * 10 + [0] * 3 + [1] * 7
    found = hinted(given, before=before)
    assert sum(found) == 5
    assert found[10:13] == [True] * 3
    assert not any(found[:10])
    with pytest.raises(InvalidStageSpec, match="less than one clip: nothing is ever hinted") as refused:
        hinted(policy(max_hinted_fraction=0.04))
    assert refused.value.hint == "raise it to 0.05 or more, or raise `grpo.batch`"


# ---- what was seen


def visit(history, step, hard, right, clips=("a", "b")):
    spec = policy(trigger={"kind": "all_below", "threshold": 2})
    tables = [[RIGHT if j < n else WRONG for j in range(2)] for n in right]
    assert [n == 0 for n in right] == hard
    return decide_groups(spec, history, judged(*tables), list(clips), step=step, steps=10)


def test_pitfall_a_clip_that_every_visit_finds_hard_is_listed():
    history = History()
    for step, right in enumerate([(0, 0), (0, 1), (0, 2)]):
        visit(history, step, [n == 0 for n in right], right)
    assert history.hinted_every_visit() == ["a"]
    first, second = history.rows(lambda clip: {"a": "neutral", "b": "positive"}[clip])
    assert first == {
        "clip": "a", "polarity": "neutral", "visits": 3, "hard": 3, "hinted": 3, "right": 0, "answers": 6,
        "last_visit": 3, "last_hard": 3, "last_hinted": 3, "every_visit": True,
    }  # fmt: skip
    assert (second["hard"], second["right"], second["last_hinted"], second["every_visit"]) == (1, 3, 1, False)


def test_pitfall_whether_hints_teach_is_measured_by_the_accuracy_of_unhinted_answers_on_hard_samples():
    history = History()
    names = ("polarity/hard", "polarity/hard_trailing")
    told = [dict(visit(history, s, [n == 0 for n in right], right).logged) for s, right in enumerate(
        [(0, 2), (1, 2), (2, 0), (2, 2)]
    )]  # fmt: skip
    assert [[row.get(name) for name in names] for row in told] == [
        [None, None], [0.5, 0.5], [1.0, 0.75], [1.0, 0.875],
    ]  # fmt: skip
    assert told[1]["polarity/unhinted"] == 0.75


def test_a_history_goes_through_a_checkpoint():
    history = History()
    visit(history, 0, [True, False], (0, 1))
    visit(history, 1, [False, True], (1, 0))
    again = History.from_json(history.to_json())
    assert again.to_json() == history.to_json()
    assert visit(again, 2, [True, False], (0, 2)) == visit(history, 2, [True, False], (0, 2))


def test_pitfall_neutral_is_hinted_most_so_usage_is_logged_by_polarity():
    told = dict(answer_metrics.group_metrics([True, True, False, False], [True, False, False, False],
                                 ["neutral", "neutral", "negative", "negative"]))  # fmt: skip
    assert told == {"hard/groups": 0.5, "hint/groups": 0.25, "hint/negative": 0.0, "hint/neutral": 0.5}


def test_every_name_that_is_logged_is_known():
    table = judged([WRONG, RIGHT], [RIGHT, RIGHT])
    logged = [
        *answer_metrics.first_answer_metrics(table, ["negative", "positive"]),
        *answer_metrics.hinted_answer_metrics(table),
        *answer_metrics.group_metrics([True, False], [True, False], ["negative", "neutral"]),
        *answer_metrics.history_metrics(1, 2, 0.5),
        *answer_metrics.trained_answer_metrics(
            table.rewards.flatten(0, 1), torch.ones(3), torch.tensor([0, 0, 1, 1])
        ),
    ]
    assert {name for name, _ in logged} <= set(answer_metrics.metric_names(NAMES))
    told = dict(logged)
    assert told["zero_variance"] == 0.5
    assert told["reward/unhinted"] == pytest.approx((1 + 3 * 2.8) / 4)
    assert told["reward_hinted/score"] == pytest.approx(0.6)


def test_what_is_logged_is_drawn_in_the_report():
    """But for what says little by itself: the reward that mixes answers with and without hints, the rate, GRPO's loss."""
    logged = [*answer_metrics.metric_names(NAMES), "loss", "kl", "grad_norm", "learning_rate"]
    rows = [{"step": step, **dict.fromkeys(logged, 0.5), "hard/groups": 1.0} for step in (1, 2)]
    found = SimpleNamespace(rows=lambda _: rows, state="")
    drawn = grpo_curves(SimpleNamespace(find=lambda *_: found), None)
    lines = sum(len(chart.series) for chart in drawn.charts)
    assert lines == len(logged) - len({"reward/trained", "learning_rate", "loss"})


def test_pitfall_the_score_gate_is_open_under_a_hint_so_agreement_is_logged_for_hinted_answers_too():
    told = dict(answer_metrics.hinted_answer_metrics(judged([RIGHT, RIGHT], agrees=0.0)))
    assert told["agreement/hinted"] == 0.0
    assert "agreement/hinted" not in dict(
        answer_metrics.hinted_answer_metrics(judged([BROKEN, BROKEN], agrees=float("nan")))
    )


def test_the_threshold_of_kept_samples_may_be_open():
    logged = decide_groups(policy(hard_policy="keep", trigger=AllBelow().model_dump()), History(), judged([WRONG] * 2),
                     ["a"], step=0, steps=1)  # fmt: skip
    assert logged.hard == logged.hinted == [False]
    assert "hard/groups" not in dict(logged.logged)
