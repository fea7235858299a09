"""The command as its user meets it: answers, messages, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

import c2f_spec
from c2f_spec.cli.arguments import STAGE_KINDS, VERBS, VISIBLE_VERBS
from c2f_spec.store.digest import digest_file, seal, unseal
from tests.conftest import REPOSITORY, TINY_SPEC
from tests.support.faults import ENVIRONMENT, apply, processes_in


def test_a_spec_is_validated_and_what_is_not_run_yet_is_noted(c2f, repository):
    shutil.copy(REPOSITORY / "specs" / "sims_hint.yaml", repository / "specs")
    shutil.copytree(REPOSITORY / "k8s", repository / "k8s")
    done = c2f("validate", "specs/sims_hint.yaml", "--set", "grpo.hint.placement=in_prompt")
    assert done.stdout == "specs/sims_hint.yaml: valid\n"
    assert "note: `grpo.hint.placement: in_prompt` is not supported by this version" in done.stderr


def test_help_lists_the_verbs_in_groups(c2f):
    text = c2f("--help").stdout
    groups = re.findall(r"^(.+):$", text, re.MULTILINE)
    assert groups[:6] == ["write a spec", "plan and review", "run", "results", "store and data", "cluster"]
    assert re.findall(r"^  ([a-z]+) +\S", text, re.MULTILINE)[: len(VISIBLE_VERBS)] == list(VISIBLE_VERBS)
    assert "driver" not in text, "only machines call it"
    assert all(len(line) <= 110 for line in text.splitlines())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(c2f, verb):
    assert VERBS[verb].help in " ".join(c2f(verb, "--help").stdout.split())


def test_apply_until_takes_every_kind_of_stage():
    from runtime.process.worker import STAGES

    assert set(STAGE_KINDS) == set(STAGES)


def test_a_process_of_the_command(c2f):
    assert c2f.process("--version").stdout == f"c2f-spec {c2f_spec.VERSION}\n"


def test_names_without_a_pin_are_one_block_and_no_verb_over_the_plan_repeats_it(c2f, tiny_spec):
    tiny_spec.write_text(TINY_SPEC + "evaluate:\n  checkpoints: [base]\n  datasets:\n    - icwsm2014-nyt\n")
    lines = c2f("plan", "specs/tiny.yaml").stderr.splitlines()
    assert lines[0] == ("warning: 2 names are not pinned in c2f.lock: the one staged copy is taken [C2F418]")
    assert [re.sub(r"[0-9a-f]{10}$", "_", line) for line in lines[1:3]] == [
        "  specs/tiny.yaml:3   data set `icwsm2014-movie`  _",
        "  specs/tiny.yaml:10  data set `icwsm2014-nyt`    _",
    ]
    assert lines[3:] == ["  hint: run `c2f-spec lock specs/tiny.yaml` to pin what is staged"]
    assert c2f("verify", "specs/tiny.yaml").stdout.endswith(" stages are done; nothing to check\n")
    for verb in ("status", "logs", "retry", "cancel", "delete", "report", "verify"):
        assert c2f(verb, "specs/tiny.yaml").stderr == "", verb
    assert c2f("get", "specs/tiny.yaml", "--to", "mine", check=4).stderr == ""
    exported = c2f("export", "specs/tiny.yaml", "mine", check=64).stderr
    assert exported.splitlines()[0] == "the spec trains nothing"
    assert "warning" not in exported
    c2f("lock", "specs/tiny.yaml")
    assert c2f("plan", "specs/tiny.yaml").stderr == ""


def test_apply_refuses_what_this_version_does_not_run_at_its_line(c2f, repository, tiny_spec):
    tiny_spec.write_text(
        TINY_SPEC
        + "format: c2f\ngrpo: {steps: 1, hint: {content: trace_prefix, prefix_end: after_think_open}}\n"
    )
    done = c2f("apply", "specs/tiny.yaml", check=3)
    assert (
        "specs/tiny.yaml:8:34: `grpo.hint.content.kind: trace_prefix` is not supported by this version"
        in done.stderr
    )
    assert not (repository / ".c2f" / "store" / "records").exists()


def test_what_is_not_run_is_reported_before_what_is_not_staged(c2f, repository):
    shutil.copy(REPOSITORY / "specs" / "sims_hint.yaml", repository / "specs")
    setting = "grpo.hint.placement=in_prompt"
    done = c2f("apply", "specs/sims_hint.yaml", "--on", "local", "--set", setting, check=3)
    assert "`grpo.hint.placement: in_prompt` is not supported by this version" in done.stderr
    assert "is not in the store" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("validate", "specs/tin.yaml"), 3, "did you mean `specs/tiny.yaml`?"),
        (("validate", "specs"), 3, "is a folder"),
        (("validate", "specs/tiny.yaml", "--on", "locl"), 3, "did you mean `local`?"),
        (("plan", "specs/tiny.yaml", "--bla"), 64, "unrecognized arguments"),
        ((), 64, "usage"),
        (("validat", "specs/tiny.yaml"), 64, "unknown verb `validat`, did you mean `validate`?"),
        (("logs", "specs/tiny.yaml", "sft"), 64, "no stage `sft`"),
        (("data", "add", "mosi", "--fetch"), 64, "no data set `mosi`"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else None,
)
def test_wrong_calls_name_the_right_one(c2f, tiny_spec, argv, code, says):
    done = c2f(*argv, check=code)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_plan_apply_status_logs_and_apply_again(c2f, repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    place = ("--environments", ".")
    planned = json.loads(c2f("plan", "specs/tiny.yaml", "-o", "json", *place).stdout)
    assert [s["action"] for s in planned["stages"]] == ["run", "run", "run"]
    counts = {"variants": 1, "instances": 3, "unique": 3, "stored": 0, "to_run": 3}
    assert planned["totals"].items() >= counts.items()
    assert planned["totals"]["gpu_hours"] == {"low": 0, "high": 0, "basis": "none", "measured": 0}

    applied = c2f("apply", "specs/tiny.yaml", "--no-report", *place)
    lines = [re.sub(r"[0-9a-f]{10}|\d+\.\d s", "_", line).split() for line in applied.stdout.splitlines()]
    assert [line[1] for line in lines[1:]] == ["started", "done"] * 3

    store = repository / ".c2f" / "store"
    made = json.loads(next((store / "records" / "filter").iterdir()).read_text())["provenance"]
    assert made["origin"]["argv"][:2] == ["apply", "specs/tiny.yaml"]
    assert json.loads((store / "provenance" / f"{made['all_packages']}.json").read_text())["pydantic"]

    again = c2f("apply", "specs/tiny.yaml", "--no-report", *place)
    assert again.stdout == "nothing to do: all 3 stages of tiny-stages are done\n"

    states = json.loads(c2f("status", "specs/tiny.yaml", "-o", "json", *place).stdout)["stages"]
    assert [s["state"] for s in states] == ["done"] * 3
    assert "committed" in c2f("logs", "specs/tiny.yaml", "distil", *place).stdout

    tiny_spec.write_text(TINY_SPEC.replace("polarity_match: {}", "polarity_match: {}, score_tolerance: null"))
    table = c2f("plan", "specs/tiny.yaml", *place).stdout
    assert re.search(r"= reuse +distil-\w+ +distil chains of thought\n", table)
    assert re.search(r"\+ run +filter-\w+ .*filters\.score_tolerance default -> none", table)


def test_a_clip_that_cannot_be_decoded_is_named_and_nothing_is_lost(c2f, repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    place = ("--environments", ".", "--no-report")
    tiny_spec.write_text(TINY_SPEC)
    c2f("apply", "specs/tiny.yaml", *place)
    store = repository / ".c2f" / "store"
    clip = damage_a_training_clip(store)
    for kind in ("distil", "filter"):
        shutil.rmtree(store / "records" / kind)
        shutil.rmtree(store / "work" / kind)  # with the units that were done

    done = c2f("apply", "specs/tiny.yaml", *place, check=8)
    assert clip in done.stderr
    assert "hint:" in done.stderr
    assert "c2f-spec retry specs/tiny.yaml distil-" in done.stderr
    assert "blocked" in done.stdout
    assert list((store / "records" / "prepare").iterdir())

    again = c2f("apply", "specs/tiny.yaml", *place, check=8)
    assert "\ufffd" not in again.stderr
    assert "started" not in again.stdout, "what failed for good is not tried again by itself"
    assert clip in again.stderr
    assert "will be tried again" in c2f("retry", "specs/tiny.yaml", "--environments", ".").stdout
    assert re.search(r"\+ run +distil", c2f("plan", "specs/tiny.yaml", "--environments", ".").stdout)


def damage_a_training_clip(store: Path) -> str:
    """As if it had come broken from its source: the record's digest is right, and the bytes are not a video."""
    record = next((store / "records" / "prepare").iterdir())
    content = unseal(record.read_bytes())
    folder = store / "work" / "prepare" / record.stem / "attempts" / content["attempt"]
    rows = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    media = next(row["media"] for row in rows if row["split"] == "train")
    (folder / media).write_bytes(b"not a video")
    content["files"][media] = digest_file(folder / media).model_dump(exclude_none=True)
    record.write_bytes(seal(content))
    return media.rsplit("/", 1)[1]


def test_a_store_that_cannot_be_written_is_named(c2f, repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT.replace(".c2f/store", "blocked/store"))
    shutil.copytree(repository / ".c2f" / "store", repository / "blocked" / "store")
    shutil.rmtree(repository / "blocked" / "store" / "plans", ignore_errors=True)
    (repository / "blocked" / "store" / "plans").write_text("a file where a folder should be")
    done = c2f("apply", "specs/tiny.yaml", "--environments", ".", check=7)
    assert "cannot write `plans/" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_what_it_started_and_says_how_to_go_on(repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    child = apply(repository, tiny_spec)
    while not list((repository / ".c2f").rglob("lock")):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130, out
    assert "interrupted; finished stages are kept" in out
    assert processes_in(repository) == []
