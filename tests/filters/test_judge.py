"""The judge: what it is asked, how its reply is read, what is kept of it, and a stage that is killed while it asks."""

from __future__ import annotations

import pytest

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.plan.model_servers import endpoint_of, secret_of
from c2f_spec.spec.base import identity
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.spec.experiment import Experiment
from c2f_spec.spec.filters import Filters, Judge
from c2f_spec.spec.handoff import Endpoint, Placement
from c2f_spec.spec.sections import C2f
from runtime.filters.judge import MAX_TRIES, MAX_UNMARKED, Mark, failed_marks, read_mark
from runtime.process.units import Journal
from runtime.stages import filter as stage
from runtime.text.chains import canonical_answer
from runtime.text.clips import Clip, read_jsonl, write_jsonl
from tests.support.fake_endpoint import Fake, completion, serving
from tests.support.killed_asking import judge_stage, judge_stand, storm
from tests.support.stage_runs import ALL_OFF, run_stage, write_prepared

CLIPS = [
    Clip(f"c{n}", "d", "train", f"words {n}", 1.0, "positive", f"clips/c{n}.mp4", 1.0, "") for n in range(5)
]
MARKS = {
    "words 0": "Mark: 5\nConcrete and consistent.",
    "words 1": "Mark: 2\nIt would fit any video.",
    "words 2": "Mark: 3.5\nFair.",
    "words 3": "I would rather not say.",
}


def mark(body):
    """The reply to a question about a clip."""
    asked = body["messages"][0]["content"][0]["text"]
    return next((reply for words, reply in MARKS.items() if words in asked), "Mark: 4\nGood.")


def filtered(tmp_path, url, out="out", chains=CLIPS, **judge):
    """Run the filter stage with a judge at `url`; returns its summary and its folder."""
    write_prepared(tmp_path / "prepare", CLIPS)
    (tmp_path / "distil").mkdir(exist_ok=True)
    polarities = {clip.id: "positive" if clip in chains else "negative" for clip in CLIPS}
    rows = [{"id": i, "text": canonical_answer(C2f(), p, "because", 1.0)} for i, p in polarities.items()]
    write_jsonl(tmp_path / "distil" / "chains.jsonl", rows)
    judge = {"model": "m", "endpoint": url, **judge}
    filters = {**ALL_OFF, "polarity_match": {}, "min_keep_fraction": 0, "judge": judge}
    inputs = {name: tmp_path / name for name in ("prepare", "distil")}
    placement = Placement(endpoint=Endpoint(url=url))
    return run_stage(stage, tmp_path / out, inputs, placement=placement, filters=filters)


def test_chains_are_dropped_by_their_marks_and_the_marks_are_stored(tmp_path):
    fake = Fake(mark)
    with serving(fake) as url:
        found, ctx = filtered(tmp_path, url)
    assert found["dropped"] == {"judge": 2}
    dropped = {row["id"]: row for row in read_jsonl(ctx.out / "dropped.jsonl")}
    assert dropped["c1"]["reason"] == "marked 2, less than 3: It would fit any video."
    assert dropped["c1"]["value"] == 2.0
    assert dropped["c3"]["reason"] == "the judge gave no mark: I would rather not say."
    marks = list(read_jsonl(ctx.out / "marks.jsonl"))
    assert [(row["id"], row["value"]) for row in marks] == [("c0", 5), ("c1", 2), ("c2", 3.5), ("c3", None), ("c4", 4)]  # fmt: skip
    assert all(row["tokens_in"] > 0 for row in marks)
    asked = fake.bodies[0]["messages"][0]["content"][0]["text"]
    assert "Polarity: positive" in asked
    assert "because" in asked
    assert not any("1.0" in body["messages"][0]["content"][0]["text"] for body in fake.bodies), "the label"


def test_only_chains_that_other_filters_kept_go_to_the_judge(tmp_path):
    fake = Fake(mark)
    with serving(fake) as url:
        found, _ = filtered(tmp_path, url, chains=CLIPS[:1])
    assert found["dropped"] == {"polarity_match": 4}
    assert sum(fake.seen.values()) == 1


def test_a_flag_lets_a_bad_mark_pass(tmp_path):
    with serving(Fake(mark)) as url:
        found, ctx = filtered(tmp_path, url, on_fail="flag")
    assert (found["kept"], found["flagged"]) == (5, {"judge": 2})
    assert list(read_jsonl(ctx.out / "chains.jsonl"))[1]["flags"]["judge"].startswith("marked 2")


def test_marks_in_the_journal_are_not_requested_again(tmp_path):
    fake = Fake(mark)
    with serving(fake) as url:
        first, ctx = filtered(tmp_path, url)
        asked = sum(fake.seen.values())
        again, other = filtered(tmp_path, url, out="again")
        with Journal(ctx, 1) as journal:
            assert len(list(journal.rows())) == 5
    assert sum(fake.seen.values()) == asked == 7  # one of them asked three times
    assert again == first
    for name in ("marks.jsonl", "chains.jsonl", "dropped.jsonl"):
        assert (other.out / name).read_bytes() == (ctx.out / name).read_bytes()


def test_a_judge_that_marks_nothing_is_an_error_and_gets_the_same_requests_when_it_is_mended(tmp_path):
    fake = Fake(lambda body: "No.")
    with serving(fake) as url:
        with pytest.raises(InvalidStageSpec, match="the judge marked none of 5 chains: No."):
            filtered(tmp_path, url)
        fake.answer = lambda body: completion("", body, finish="length")
        with pytest.raises(InvalidStageSpec, match="of 5 chains: no words, ended by `length`"):
            filtered(tmp_path, url)
        fake.answer = mark
        found, _ = filtered(tmp_path, url, out="again")
    assert found["dropped"] == {"judge": 2}


def test_a_judge_that_never_marks_is_not_paid_for_all_chains(tmp_path):
    fake = Fake(lambda body: "I would need to think about it.")
    with serving(fake) as url:
        stand = judge_stand(tmp_path, str(tmp_path / "store"), 60)
        found = storm(stand, judge_stage(stand, url, 4), 0, lambda: 0.0)
    assert "ended with 64" in found.wrong[0]
    assert "the judge marked none of 16 chains: I would need to think about it." in found.wrong[0]
    assert sum(fake.seen.values()) <= (MAX_UNMARKED + 2 * 4) * MAX_TRIES


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("Mark: 4\nGood.", 4.0, "Good."),
        ("**Mark**: 3.5 - fine", 3.5, "- fine"),
        ("mark 2", 2.0, ""),
        ("评分：5\n很好。", 5.0, "很好。"),
        ("Mark: 4. It is concrete.", 4.0, ". It is concrete."),
        ("Mark: 4/5", 4.0, "/5"),
        ("Mark: 1.2.3", None, "Mark: 1.2.3"),
        ("Mark: 7\nToo good.", None, "Mark: 7 Too good."),
        ("Mark: 45", None, "Mark: 45"),
        ("Mark: 0", None, "Mark: 0"),
        ("I remark that 4 is fine", None, "I remark that 4 is fine"),
        ("", None, ""),
    ],
)
def test_how_a_reply_is_read(text, value, words):
    assert read_mark(text) == (value, words)


def test_marks_below_the_threshold_fail_and_so_does_a_missing_one():
    spec = Filters(judge={"model": "m", "endpoint": "http://x/v1", "min_score": 4}).judge
    marks = [Mark("a", 4.0, ""), Mark("b", 3.9, "thin"), Mark("c", None, "refused: no")]
    assert {name: failed.reason for name, failed in failed_marks(marks, spec).items()} == {
        "b": "marked 3.9, less than 4: thin",
        "c": "the judge gave no mark: refused: no",
    }


def test_the_placement_of_the_filter_stage_names_the_judge_and_no_key_does(tmp_path):
    judge = Judge(model="m", endpoint="http://x/v1", secret="my-key")
    filters = Filters(polarity_match={}, judge=judge)
    e = Experiment(c2f="v1", name="x", data={"train": "icwsm2014-movie"}, student={"kind": "tiny"}, teacher="lexicon", filters=filters)  # fmt: skip
    local = LocalEnvironment(c2f="v1", kind="local", store=".c2f")
    assert endpoint_of(e, "filter", local).url == "http://x/v1"
    assert endpoint_of(e, "filter", local).variable == "C2F_SECRET_MY_KEY"
    assert endpoint_of(e, "distil", local) is None
    assert secret_of(e, "filter") == "my-key"
    assert identity(judge) == {"model": "m"}
