"""When samples are hard, which of them are hinted, what becomes of their groups: no model, no trainer."""

from __future__ import annotations

import random

import pytest
import torch
from blake3 import blake3
from pydantic import ValidationError

from c2f_spec.errors import DataWrong, StageSpecWrong
from c2f_spec.spec.hint import PRESETS, Hint
from c2f_spec.spec.hint_parts import AllBelow, Append, ReplaceAll, ReplaceK
from c2f_spec.spec.support import unsupported
from runtime.training.hints import curves, groups
from runtime.training.hints.decide import decided
from runtime.training.hints.history import History
from runtime.training.hints.judged import Facts, Judged
from runtime.training.hints.of_spec import listed
from runtime.training.hints.policy import Policy, chosen
from runtime.training.hints.triggers import TRIGGERS, Around, still_bad

NAMES = ("format", "polarity", "score")
NOBODY = Around((), (), frozenset())


def judged(*answers, agrees=1.0):
    """Groups of answers, each as its three rewards."""
    rewards = torch.tensor(answers)
    facts = torch.cat(
        [rewards[:, :, :2], torch.full_like(rewards[:, :, :1], agrees), torch.ones_like(rewards[:, :, :2])],
        dim=2,
    )
    flat = rewards.flatten(0, 1), facts.flatten(0, 1)
    return Judged.of(*flat, torch.ones(3), NAMES, rewards.shape[1])


WRONG, RIGHT, BROKEN, POOR = (1.0, 0.0, 0.0), (1.0, 1.0, 0.8), (0.0, 1.0, 0.7), (1.0, 1.0, 0.1)


def fires(trigger, table, around=NOBODY):
    spec = Hint.model_validate({"trigger": trigger}).trigger
    return TRIGGERS[spec.kind](spec, table, around).tolist()


@pytest.mark.parametrize(
    ("metric", "threshold", "hard"),
    [
        ("total", 2.0, [True, False, True, False]),
        ("polarity", 0.5, [True, False, False, False]),
        ("score", 0.5, [True, False, False, True]),
        ("correct", 0.5, [True, False, True, False]),
    ],
)
def test_all_below_compares_what_it_is_told_to(metric, threshold, hard):
    table = judged([WRONG, WRONG], [WRONG, RIGHT], [BROKEN, WRONG], [POOR, POOR])
    assert fires({"kind": "all_below", "metric": metric, "threshold": threshold}, table) == hard


def test_a_total_that_equals_the_threshold_is_not_below_whatever_the_rounding():
    tenths = Judged.of(torch.tensor([[0.1, 0.2]] * 2), torch.zeros(2, 5), torch.ones(2), ("a", "b"), 2)
    assert fires({"kind": "all_below", "threshold": 0.1 + 0.2}, tenths) == [False]


def test_zero_variance_is_of_groups_that_are_all_alike_and_bad():
    table = judged([WRONG, WRONG], [RIGHT, RIGHT], [WRONG, RIGHT])
    assert fires({"kind": "zero_variance", "only_if_mean_below": 2}, table) == [True, False, False]
    assert fires({"kind": "zero_variance"}, table) == [True, True, False]
    nearly = judged([WRONG, (1.0, 0.0, 0.1)])
    assert fires({"kind": "zero_variance", "only_if_mean_below": 2}, nearly) == [False]
    assert fires({"kind": "zero_variance", "eps": 0.1, "only_if_mean_below": 2}, nearly) == [True]


def test_pass_rate_is_of_this_step_or_a_running_mean():
    table = judged([RIGHT, WRONG, WRONG, WRONG], [RIGHT, RIGHT, RIGHT, WRONG], [WRONG] * 4)
    assert fires({"kind": "pass_rate", "max_rate": 0.25}, table) == [True, False, True]
    around = Around(("a", "b", "c"), (1.0, 0.0, None), frozenset())
    running = {"kind": "pass_rate", "max_rate": 0.25, "ema": 0.5}  # 0.625, 0.375, 0
    assert fires(running, table, around) == [False, False, True]


def test_a_list_and_always_do_not_look_at_rewards():
    table = judged([RIGHT, RIGHT], [WRONG, WRONG])
    around = Around(("a", "b"), (None, None), frozenset({"a"}))
    listed = {"kind": "offline_list", "uri": "x", "digest": "0" * 64}
    assert fires(listed, table, around) == [True, False]
    assert fires({"kind": "always"}, table, around) == [True, True]


@pytest.mark.parametrize("kind", ["all_below", "always"])
def test_a_group_is_still_bad_if_the_hint_did_not_help(kind):
    spec = Hint.model_validate(
        {"trigger": {"kind": kind, **({"threshold": 2} if kind == "all_below" else {})}}
    )
    table = judged([BROKEN, BROKEN], [BROKEN, RIGHT])
    assert still_bad(spec.trigger, table).tolist() == [True, False]


def test_an_offline_list_is_read_and_is_the_one_that_was_keyed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "hard.txt").write_text("b\nc\n")
    digest = blake3(b"b\nc\n").hexdigest()

    def of(digest):
        return Hint.model_validate({"trigger": {"kind": "offline_list", "digest": digest}}).trigger

    assert listed(of(digest), "lists/hard.txt") == {"b", "c"}
    assert listed(AllBelow(), None) == frozenset()
    with pytest.raises(DataWrong, match="and the spec says 0000"):
        listed(of("0" * 64), "lists/hard.txt")
    with pytest.raises(DataWrong, match="does not exist"):
        listed(of(digest), "lists/hard")
    with pytest.raises(StageSpecWrong, match="nobody said where it lies"):
        listed(of(digest), None)


@pytest.mark.parametrize("uri", ["/etc/passwd", "../hard.txt", "a/../../b", "file:///x", "s3://", "a b"])
def test_a_list_lies_below_the_folder_or_in_a_bucket(uri):
    with pytest.raises(ValidationError):
        Hint.model_validate({"trigger": {"kind": "offline_list", "uri": uri, "digest": "0" * 64}})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"forced_loss": "shaped"}, "forced_loss.mode: shaped"),
        ({"placement": "in_prompt"}, "placement: in_prompt"),
        ({"content": "polarity_bin"}, "content.kind: polarity_bin"),
        ({"content": "trace_prefix"}, "content.kind: trace_prefix"),
        ({"content": {"kind": "text", "column": "note"}}, "content.kind: text"),
        ({"level": "ladder"}, "level.kind: ladder"),
        ({"level": "anneal"}, "level.kind: anneal"),
        ({"level": "adaptive"}, "level.kind: adaptive"),
    ],
)
def test_what_no_runtime_does_is_refused_by_name(fields, field):
    found = [
        f"{'.'.join(path)}: {value}"
        for path, value in unsupported(Hint.model_validate(fields), ("grpo", "hint"))
    ]
    assert found == [f"grpo.hint.{field}"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs(name):
    assert list(unsupported(Hint.model_validate({"preset": name}), ("grpo", "hint"))) == []


# ---- which of them are hinted, and when

CLIPS = [f"clip-{i}" for i in range(20)]


def policy(**fields):
    return Policy(Hint.model_validate(fields), str, lambda *_: Facts(1, 1, 1), lambda _: "neutral", seed=7)


def hinted(given, step=0, steps=10, hard=None, before=None, clips=CLIPS):
    of = [True] * len(clips) if hard is None else hard
    return chosen(given, clips, of, before or [0] * len(clips), step=step, steps=steps)


def test_hints_begin_after_the_warm_up_and_stop_before_the_end():
    given = policy(warmup_steps=2, stop_after=0.5)
    assert [any(hinted(given, step=step)) for step in range(10)] == [False] * 2 + [True] * 3 + [False] * 5
    assert hinted(policy(), step=9) == [True] * 20
    assert not any(hinted(policy(hard_policy="keep")))
    assert not any(hinted(policy(hard_policy="drop")))


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
    other = Policy(given.spec, str, given.facts, given.polarity, seed=8)
    assert hinted(other, step=5) != kept[5]


def test_pitfall_a_wrong_label_is_hard_for_ever_so_hints_are_capped_and_go_first_to_those_hinted_least():
    given = policy(max_hinted_fraction=0.25)
    before = [9] * 10 + [0] * 3 + [1] * 7
    found = hinted(given, before=before)
    assert sum(found) == 5
    assert found[10:13] == [True] * 3
    assert not any(found[:10])
    with pytest.raises(StageSpecWrong, match="less than one clip: nothing is ever hinted") as refused:
        hinted(policy(max_hinted_fraction=0.04))
    assert refused.value.hint == "raise it to 0.05 or more, or raise `grpo.batch`"


# ---- what was seen


def visit(history, step, hard, right, clips=("a", "b")):
    spec = policy(trigger={"kind": "all_below", "threshold": 2})
    tables = [[RIGHT if j < n else WRONG for j in range(2)] for n in right]
    assert [n == 0 for n in right] == hard
    return decided(spec, history, judged(*tables), list(clips), step=step, steps=10)


def test_pitfall_a_clip_that_every_visit_finds_hard_is_listed():
    history = History()
    for step, right in enumerate([(0, 0), (0, 1), (0, 2)]):
        visit(history, step, [n == 0 for n in right], right)
    assert history.every_visit() == ["a"]
    first, second = history.rows(lambda clip: {"a": "neutral", "b": "positive"}[clip])
    assert first == {
        "clip": "a", "polarity": "neutral", "seen": 3, "hard": 3, "hinted": 3, "right": 0, "answers": 6,
        "last_seen": 3, "last_hard": 3, "last_hinted": 3, "every_visit": True,
    }  # fmt: skip
    assert (second["hard"], second["right"], second["last_hinted"], second["every_visit"]) == (1, 3, 1, False)


def test_pitfall_what_tells_whether_hints_teach_is_the_accuracy_of_unhinted_answers_on_hard_samples():
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
    again = History.restored(history.saved())
    assert again.saved() == history.saved()
    assert visit(again, 2, [True, False], (0, 2)) == visit(history, 2, [True, False], (0, 2))


def test_pitfall_neutral_is_hinted_most_so_usage_is_told_by_polarity():
    told = dict(curves.of_groups([True, True, False, False], [True, False, False, False],
                                 ["neutral", "neutral", "negative", "negative"]))  # fmt: skip
    assert told == {"hard/groups": 0.5, "hint/groups": 0.25, "hint/negative": 0.0, "hint/neutral": 0.5}


def test_every_name_that_is_logged_is_known():
    table = judged([WRONG, RIGHT], [RIGHT, RIGHT])
    logged = [
        *curves.of_first(table, ["negative", "positive"]),
        *curves.of_hinted(table),
        *curves.of_groups([True, False], [True, False], ["negative", "neutral"]),
        *curves.of_history(1, 2, 0.5),
        *curves.of_trained(table.rewards.flatten(0, 1), torch.ones(3), torch.tensor([0, 0, 1, 1])),
    ]
    assert {name for name, _ in logged} <= set(curves.names(NAMES))
    told = dict(logged)
    assert told["zero_variance"] == 0.5
    assert told["reward/unhinted"] == pytest.approx((1 + 3 * 2.8) / 4)
    assert told["reward_hinted/score"] == pytest.approx(0.6)


def test_pitfall_the_score_gate_is_open_under_a_hint_so_agreement_is_told_of_hinted_answers_too():
    told = dict(curves.of_hinted(judged([RIGHT, RIGHT], agrees=0.0)))
    assert told["agreement/hinted"] == 0.0
    assert "agreement/hinted" not in dict(curves.of_hinted(judged([BROKEN, BROKEN], agrees=float("nan"))))


# ---- what becomes of groups, on several ranks

KINDS = (
    ReplaceAll(),
    ReplaceK(kind="replace_k", k=2),
    Append(kind="append", k=1),
    Append(kind="append", k=3),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.kind}{getattr(kind, 'k', '')}")
def test_pitfall_groups_split_over_ranks_are_laid_out_alike_on_all(kind):
    rng = random.Random(1)
    for _ in range(200):
        size, world = rng.choice([2, 3, 4]), rng.choice([1, 2, 4])
        passes = rng.choice([1, 2])
        count = passes * world * rng.randint(1, 3)
        shape = groups.Shape(size, count * size // world, world)
        given = [g for g in range(count) if rng.random() < 0.4]
        taken = frozenset(g for g in given if rng.random() < 0.8)
        slots = groups.slots(kind, shape, given)
        width = max(map(len, slots))
        joined = [sum(s.group in taken and not s.replaces for s in own) for own in slots]
        rows = groups.padded(shape, joined, passes)
        of_group, source = groups.layout(shape, slots, width, taken, rows)
        check_layout(kind, shape, given, taken, slots, width, rows, of_group, source)


def check_layout(kind, shape, given, taken, slots, width, rows, of_group, source):
    firsts, each = shape.share * shape.world, min(groups.hinted_each(kind, shape.size), 99)
    blank = firsts + width * shape.world
    assert len(source) == len(of_group) == rows * shape.world
    assert rows == shape.share or rows % shape.size == 0
    members = {
        g: [i for h, i in zip(of_group, source, strict=True) if h == g and i < blank] for g in set(of_group)
    }
    for group, sources in members.items():
        own = [i for i in sources if i < firsts]
        extra = [i for i in sources if i >= firsts]
        assert len(set(extra)) == len(extra) == (each if group in taken else 0)
        assert set(own) <= set(range(group * shape.size, (group + 1) * shape.size))
        replaced = each if group in taken and not isinstance(kind, Append) else 0
        assert len(own) == shape.size - replaced
    for rank, own in enumerate(slots):
        mine = source[rank * rows : (rank + 1) * rows]
        # What a rank trains on it has generated itself.
        assert all(rank * shape.share <= i < (rank + 1) * shape.share for i in mine if i < firsts)
        assert all(0 <= i - firsts - rank * width < len(own) for i in mine if firsts <= i < blank)
        for slot in own:
            assert (rank * shape.share + slot.row) // shape.size == slot.group, (
                "the prompt is that of the group"
            )
    order = groups.by_group(slots, width, given)
    assert [len(places) for places in order] == [each] * len(given)


def test_nothing_is_padded_where_nothing_joined():
    assert groups.padded(groups.Shape(4, 6, 2), [0, 0], 3) == 6
    assert groups.padded(groups.Shape(4, 8, 2), [1, 0], 2) == 12


def test_the_threshold_of_kept_samples_may_be_open():
    logged = decided(policy(hard_policy="keep", trigger=AllBelow().model_dump()), History(), judged([WRONG] * 2),
                     ["a"], step=0, steps=1)  # fmt: skip
    assert logged.hard == logged.hinted == [False]
    assert "hard/groups" not in dict(logged.logged)
