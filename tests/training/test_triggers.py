"""When samples are hard, and what of a policy of hints no runtime does yet."""

from __future__ import annotations

import pytest
import torch
from blake3 import blake3
from pydantic import ValidationError

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.hint import PRESETS, AllBelow, Hint
from c2f_spec.spec.support import unsupported
from runtime.training.hints.answer_metrics import GroupResults
from runtime.training.hints.build_policy import load_offline_list
from runtime.training.hints.triggers import TRIGGERS, TriggerContext, still_bad
from tests.support.hinted import BROKEN, POOR, RIGHT, WRONG, judged

NOBODY = TriggerContext((), (), frozenset())


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
def test_all_below_compares_the_metric_of_the_spec(metric, threshold, hard):
    table = judged([WRONG, WRONG], [WRONG, RIGHT], [BROKEN, WRONG], [POOR, POOR])
    assert fires({"kind": "all_below", "metric": metric, "threshold": threshold}, table) == hard


def test_a_total_that_equals_the_threshold_is_not_below_whatever_the_rounding():
    tenths = GroupResults.from_answers(
        torch.tensor([[0.1, 0.2]] * 2), torch.zeros(2, 5), torch.ones(2), ("a", "b"), 2
    )
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
    around = TriggerContext(("a", "b", "c"), (1.0, 0.0, None), frozenset())
    running = {"kind": "pass_rate", "max_rate": 0.25, "ema": 0.5}  # 0.625, 0.375, 0
    assert fires(running, table, around) == [False, False, True]


def test_a_list_and_always_do_not_depend_on_rewards():
    table = judged([RIGHT, RIGHT], [WRONG, WRONG])
    around = TriggerContext(("a", "b"), (None, None), frozenset({"a"}))
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

    def listed(digest):
        return Hint.model_validate({"trigger": {"kind": "offline_list", "digest": digest}}).trigger

    assert load_offline_list(listed(digest), "lists/hard.txt") == {"b", "c"}
    for name, data in (("windows", b"\xef\xbb\xbfb c\r\n\r\nd\r\n"), ("picture", b"\xff\xd8")):
        (tmp_path / "lists" / name).write_bytes(data)
    assert load_offline_list(
        listed(blake3(b"\xef\xbb\xbfb c\r\n\r\nd\r\n").hexdigest()), "lists/windows"
    ) == {
        "b c",
        "d",
    }
    with pytest.raises(InvalidData, match="is not UTF-8 text"):
        load_offline_list(listed(blake3(b"\xff\xd8").hexdigest()), "lists/picture")
    assert load_offline_list(AllBelow(), None) == frozenset()
    with pytest.raises(InvalidData, match="expected 0000"):
        load_offline_list(listed("0" * 64), "lists/hard.txt")
    with pytest.raises(InvalidData, match="is not found"):
        load_offline_list(listed(digest), "lists/hard")
    with pytest.raises(InvalidStageSpec, match="its location is missing"):
        load_offline_list(listed(digest), None)


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


@pytest.mark.parametrize(
    ("name", "parts"),
    {
        "c2f_thinker": set(),
        "c2f_no_hint": set(),
        "c2f_no_hard": set(),
        "polarity_taught": set(),
        "hint_grpo_iccv25": {"content.kind", "level.kind"},
        "ghpo": {"content.kind", "placement", "level.kind"},
        "scaf_grpo": {"content.kind", "placement"},
        "sage": {"content.kind", "placement", "level.kind"},
        "uft": {"content.kind", "level.kind"},
        "questa_50_25": {"content.kind", "placement", "level.kind"},
    }.items(),
)
def test_a_preset_runs_or_is_refused_by_its_parts(name, parts):
    listed = {"trigger": {"digest": "0" * 64}} if name == "questa_50_25" else {}
    hint = Hint.model_validate({"preset": name, **listed})
    refused = {".".join(path) for path, _ in unsupported(hint, ("grpo", "hint"))}
    assert refused == {f"grpo.hint.{part}" for part in parts}
    assert name in PRESETS
