"""A user data set: its table and header, how it is staged, declared, planned and prepared."""

from __future__ import annotations

import json

import pytest

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import Own
from runtime.datasets import user_folder
from runtime.stages import prepare
from runtime.text.clips import read_facts, read_manifest
from tests.support.odd_clips import film
from tests.support.stage_runs import run_stage

HEADER = "language: zh\nlow: -1\nhigh: 1\nfamily: sims\n"
ROWS = (
    "a,one.mp4,你好,-0.8,train,negative",
    'b,sub/two.mp4,"走了, 他说",0.0,train,Neutral',
    "c-1,sub/one.mp4,三,1,test,",
)
TABLE = "id,file,text,label,split,polarity"


def folder(path, rows=ROWS, header=HEADER, table=TABLE):
    (path / "sub").mkdir(parents=True)
    for name, sound, count in (("one.mp4", 16_000, 4), ("sub/two.mp4", None, 5), ("sub/one.mp4", 16_000, 6)):
        film(path / name, rate=sound, count=count)
    (path / "dataset.yaml").write_text(header)
    (path / "clips.csv").write_text("\n".join((table, *rows)) + "\n", encoding="utf-8-sig")
    return path


def test_rows_are_read_with_their_files(tmp_path):
    rows = user_folder.read("mine", folder(tmp_path / "mine"))
    assert [(r.id, r.split, r.text, r.label) for r in rows] == [
        ("a", "train", "你好", -0.8),
        ("b", "train", "走了, 他说", 0.0),
        ("c-1", "test", "三", 1.0),
    ]
    assert user_folder.clip_path("mine", tmp_path / "mine", rows[1]) == tmp_path / "mine" / "sub" / "two.mp4"


def test_a_header_may_be_written_as_people_write_yaml(tmp_path):
    header = "---\n# mine\nlanguage: 'zh'\nlow: -1.0  # the least\nhigh: \"1\"\n\nfamily: sims\n"
    assert user_folder.read_header("mine", folder(tmp_path, header=header)) == user_folder.read_header(
        "mine", folder(tmp_path / "plain")
    )


def test_every_problem_is_reported_with_its_line_and_column(tmp_path):
    wrong = (
        *ROWS, "a,one.mp4,again,0.2,train,", "x y,one.mp4,t,0.2,train,", "d,none.mp4,t,0.2,train,",
        "e,../one.mp4,t,0.2,train,", "f,one.mp4,t,much,train,", "g,one.mp4,t,1.5,dev,", "h,one.mp4,t,0.8,test,negative",
        "i,one.mp4,t,0.8,test,glad", "j,one.mp4,t,nan,test,",
    )  # fmt: skip
    with pytest.raises(InvalidData) as caught:
        user_folder.read("mine", folder(tmp_path, wrong))
    assert caught.value.message.splitlines() == [
        f"{tmp_path / 'clips.csv'} has 10 problems:",
        "  clips.csv:5: column `id`: duplicate id `a`, first on line 2",
        "  clips.csv:6: column `id`: invalid id `x y`: only letters, digits, `_`, `-` and `.` are allowed",
        "  clips.csv:7: column `file`: file not found: `none.mp4`",
        "  clips.csv:8: column `file`: invalid path `../one.mp4`: it must be relative and stay below the folder",
        "  clips.csv:9: column `label`: `much` is not a number",
        "  clips.csv:10: column `split`: invalid split `dev`: use train, valid or test",
        "  clips.csv:10: column `label`: label 1.5 is out of range [-1, 1]",
        "  clips.csv:11: column `polarity`: polarity `negative` does not match label 0.8",
        "  clips.csv:12: column `polarity`: invalid polarity `glad`: use negative, neutral, positive",
        "  clips.csv:13: column `label`: label nan is out of range [-1, 1]",
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("language: fr\nlow: -1\nhigh: 1\n", "`language`: Input should be 'en' or 'zh'"),
        ("language: en\nlow: -1\n", "`high`: Field required"),
        ("language: en\nlow: 1\nhigh: -1\n", "`low` (1) must be less than `high` (-1)"),
        ("language: en\nlow: 1\nhigh: 5\n", "labels range from 1 to 5, but 0 (neutral) must be the middle"),
        ("language: en\nlow: -1\nhigh: 1\nsplit: x\n", "`split`: Extra inputs are not permitted"),
        ("# mine\n[1, 2]\n", ":2: `[1, 2]` is not `key: value`"),
        ("low:\n", ":1: `low:` is not `key: value`"),
    ],
)
def test_a_wrong_header_names_its_field(tmp_path, header, message):
    with pytest.raises(InvalidData) as caught:
        user_folder.read("mine", folder(tmp_path, header=header))
    assert message in caught.value.message
    assert "dataset.yaml" in caught.value.message


def test_a_missing_column_a_short_row_and_an_empty_table_are_named(tmp_path):
    with pytest.raises(InvalidData, match="clips.csv:1: missing column label, split"):
        user_folder.read("mine", folder(tmp_path / "1", (), table="id,file,text"))
    with pytest.raises(InvalidData, match="clips.csv:2: wrong number of cells"):
        user_folder.read("mine", folder(tmp_path / "2", ("a,one.mp4,t,0.2",)))
    with pytest.raises(InvalidData, match="has no rows"):
        user_folder.read("mine", folder(tmp_path / "3", ()))


SPEC = """c2f: v1
name: own
data:
  train: mine
{declared}
student: tiny
format: direct
sft: {{steps: 1, batch: 2}}
evaluate: {{checkpoints: [sft], datasets: [mine], decoding: {{max_new_tokens: 4}}}}
"""


def test_it_is_checked_staged_declared_and_planned(c2f, repository):
    place = folder(repository / "mine")
    found = json.loads(c2f("data", "check", "mine", "--from", str(place), "-o", "json").stdout)
    assert (found["splits"], found["problems"]) == ({"train": 2, "test": 1}, [])
    assert found["notes"] == ["clips without sound: 1 (their prompts say so)"]
    printed = c2f("data", "add", "mine", "--from", str(place)).stdout
    declared = printed.split("data:\n")[1].split("pinned")[0]
    assert declared == (
        "  own:\n    - {name: mine, language: zh, low: -1, high: 1, family: sims, decimals: 1, clips: {train: 2, test: 1}}\n"
    )
    spec = repository / "specs" / "own.yaml"
    spec.write_text(SPEC.format(declared=declared))
    c2f("validate", str(spec))
    stages = json.loads(c2f("plan", str(spec), "-o", "json").stdout)["stages"]
    made = {stage["kind"]: stage["preimage"] for stage in stages}
    assert made["prepare"]["spec"]["own"]["clips"] == {"train": 2, "test": 1}
    assert made["prepare"]["data"]["digest"].startswith(printed.split("digest ")[1][:10])
    assert "own" not in json.dumps(made["sft"]["spec"]), "what of it matters comes with the prepared clips"


def test_what_a_spec_declares_is_compared_with_the_files(tmp_path):
    place = folder(tmp_path / "mine")
    rows = user_folder.read("mine", place)
    actual = user_folder.declare(user_folder.read_header("mine", place), rows)
    user_folder.check_declared(actual, place, rows)
    other = Own.model_validate({**actual.model_dump(), "high": 3.0, "clips": {"train": 3, "test": 1}})
    with pytest.raises(InvalidData) as caught:
        user_folder.check_declared(other, place, rows)
    assert caught.value.message.endswith(
        "`high` is 1 in the files and 3 in the spec; "
        "`clips` is 2 train, 1 test in the files and 3 train, 1 test in the spec"
    )


def test_prepared_it_is_like_any_other(tmp_path):
    place = folder(tmp_path / "mine")
    own = {"name": "mine", "language": "zh", "low": -1, "high": 1, "family": "sims"}
    spec = {"dataset": "mine", "limit": {}, "own": {**own, "clips": {"train": 2, "test": 1}}}
    summary, ctx = run_stage(prepare, tmp_path / "out", {"data": place}, **spec)
    assert (summary["clips"], summary["without"]) == (3, {"audio": 1})
    clips = {clip.id: clip for clip in read_manifest(ctx.out)}
    files = {"clips/one.mp4", "clips/sub/two.mp4", "clips/sub/one.mp4"}
    assert {clip.media for clip in clips.values()} == files
    assert clips["b"].lacks == ("audio",)
    facts = read_facts(ctx.out)
    assert (facts["language"], facts["low"], facts["high"], facts["family"]) == ("zh", -1, 1, "sims")
