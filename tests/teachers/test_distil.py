"""distil by a teacher behind an endpoint: what is asked, kept, asked again and lost."""

from __future__ import annotations

import base64
import io
import re
import time
import wave
from collections import Counter

import av
import numpy as np
import pytest

from c2f_spec.errors import InvalidData, InvalidStageSpec, Unreachable
from c2f_spec.spec.sections import Media
from c2f_spec.store import records
from runtime.endpoints import chat_client as client_module
from runtime.media import decode
from runtime.process.units import UNIT
from runtime.stages import distil
from runtime.text.chains import C2f, build_prompt
from runtime.text.clips import seed_of
from tests.support.distil_world import (
    KEY,
    MEDIA,
    as_shard,
    canonical,
    context,
    outputs,
    prepared,
    run,
    words_of,
)
from tests.support.fake_endpoint import Fake, completion, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("prepared") / "p", 10)


CLIPS = 70


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Two units, the last one short."""
    return prepared(tmp_path_factory.mktemp("many") / "p", CLIPS)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE", 0.01)


def test_a_clip_is_sent_as_video_sound_and_words_and_nothing_of_its_label(folder, tmp_path):
    fake = Fake(canonical)
    with serving(fake) as url:
        summary, made = run(context(tmp_path, folder, url))
    assert [tuple(row) for row in made["chains"]] == [("id", "text")] * 10
    assert [row["id"] for row in made["chains"]] == [f"clip-{n:04d}" for n in range(10)]
    assert summary["clips"] == summary["kept"] == summary["well_formed"] == 10
    assert summary["failed"] == {}
    body = next(b for b in fake.bodies if words_of(b) == 3)
    settings = {name: body[name] for name in ("model", "max_tokens", "temperature", "top_p", "seed")}
    seed = seed_of(KEY, "clip-0003", 0)
    expected = {"model": "fake-2026", "max_tokens": 768, "temperature": 0.7, "top_p": 0.95}
    assert settings == {**expected, "seed": seed}
    (message,) = body["messages"]
    video, audio, text = message["content"]
    assert text["text"] == build_prompt(C2f(), language="en", text="I said number 3", low=-3.0, high=3.0)
    frames = decode.frames(folder / "clips" / "one.mp4", Media(**MEDIA))
    with av.open(io.BytesIO(data_of(video["video_url"]["url"], "video/mp4"))) as file:
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
        assert file.duration == 2_000_000
    assert shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).mean() < 3
    assert audio["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(audio["input_audio"]["data"]))) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
    np.testing.assert_allclose(heard, decode.audio(folder / "clips" / "one.mp4"), atol=1e-4)


def data_of(url, mime):
    found = re.fullmatch(rf"data:{mime};base64,(.*)", url)
    return base64.b64decode(found[1])


def test_frames_go_as_pictures_where_an_endpoint_takes_no_video(folder, tmp_path):
    fake = Fake(canonical)
    with serving(fake) as url:
        run(context(tmp_path, folder, url, teacher={"video": "frames"}))
    kinds = [part["type"] for part in fake.bodies[0]["messages"][0]["content"]]
    assert kinds == ["image_url"] * 4 + ["input_audio", "text"]
    assert data_of(fake.bodies[0]["messages"][0]["content"][0]["image_url"]["url"], "image/jpeg")


@pytest.mark.parametrize(
    ("told", "words"), [("polarity", "sentiment is Positive."), ("full", "its score 2.2.")]
)
def test_the_prompt_of_a_teacher_has_as_much_of_the_label_as_the_spec_allows(folder, tmp_path, told, words):
    fake = Fake(canonical)
    with serving(fake) as url:
        run(context(tmp_path, folder, url, teacher={"label_visibility": told}))
    text = next(b for b in fake.bodies if words_of(b) == 2)["messages"][0]["content"][-1]["text"]
    assert words in text
    assert "never mention that you were told" in text


def test_every_reply_is_stored_with_its_counts_and_its_cost(folder, tmp_path):
    prices = {"price_in": 2.0, "price_out": 10.0, "max_cost": 1.0}
    with serving(Fake(canonical)) as url:
        summary, made = run(context(tmp_path, folder, url, client=prices))
    assert len(made["replies"]) == len(made["times"]) == 10
    reply, times = made["replies"][4], made["times"][4]
    assert reply == {
        "id": "clip-0004", "sample": 0, "try": 0, "text": made["chains"][4]["text"], "reasoning": "", "finish": "stop",
        "tokens_in": 100, "tokens_out": len(reply["text"]) // 4,
    }  # fmt: skip
    assert times["cost"] == pytest.approx((100 * 2 + reply["tokens_out"] * 10) / 1e6)
    assert 0 <= times["seconds"] < 5
    assert summary["cost"] == pytest.approx(sum(each["cost"] for each in made["times"]), abs=1e-4)
    assert summary["tokens_in"] == 1000


def test_a_reply_that_cannot_be_parsed_is_requested_again_with_another_seed_and_as_often_as_allowed(
    folder, tmp_path
):
    """Clip 3 is right at its third try, clip 5 never."""
    tries = Counter()

    def answer(body):
        n = words_of(body)
        tries[n] += 1
        return "I cannot say." if (n == 3 and tries[n] < 3) or n == 5 else canonical(body)

    fake = Fake(answer)
    with serving(fake) as url:
        summary, made = run(context(tmp_path, folder, url))
    assert tries == {**dict.fromkeys(range(10), 1), 3: 3, 5: 3}
    seeds = [b["seed"] for b in fake.bodies if words_of(b) == 3]
    assert seeds == [seed_of(KEY, "clip-0003", 0, tried) for tried in range(3)]
    assert [r["try"] for r in made["replies"] if r["id"] == "clip-0003"] == [0, 1, 2]
    assert made["chains"][3]["text"].startswith("<polarity>")
    assert made["chains"][5]["text"] == "I cannot say."
    assert (summary["kept"], summary["well_formed"]) == (10, 9)


def test_a_chain_that_fails_a_filter_with_retry_is_requested_again(folder, tmp_path):
    """The others are for the stage `filter` alone."""
    tries = Counter()

    def answer(body):
        n = words_of(body)
        tries[n] += 1
        text = canonical(body)
        return text.replace("words", "as the label says") if n in (2, 4) and tries[n] == 1 else text

    filters = {"no_label_leak": {"on_fail": "retry"}, "score_tolerance": {"max_fraction": 0.001}}
    with serving(Fake(answer)) as url:
        summary, made = run(context(tmp_path, folder, url, filters=filters))
    assert tries == {**dict.fromkeys(range(10), 1), 2: 2, 4: 2}
    assert not any("label" in chain["text"] for chain in made["chains"])
    assert summary["replies"] == 12


def test_several_samples_of_a_clip_stay_in_their_order(folder, tmp_path):
    with serving(Fake(canonical)) as url:
        summary, made = run(context(tmp_path, folder, url, teacher={"samples": 3}))
    assert [(c["id"], c["sample"]) for c in made["chains"]] == [
        (f"clip-{n:04d}", s) for n in range(10) for s in range(3)
    ]
    assert len({chain["text"] for chain in made["chains"]}) == 30
    assert (summary["clips"], summary["kept"], summary["chains"]) == (10, 10, 30)


def test_no_clip_is_lost_whatever_the_endpoint_does(many, tmp_path):
    """Some clips always fail, in five ways; of the rest every other request fails once."""
    ways = {0: "400", 10: "500", 20: "cut", 30: "odd", 40: "reset", 50: "400", 60: "500", 65: "cut"}

    def fault(body, number):
        n = words_of(body)
        if n in ways:
            return ways[n]
        return ("429", "500", "reset", "empty")[n % 4] if number == 0 and n % 2 else None

    with serving(Fake(canonical, fault=fault)) as url:
        summary, made = run(context(tmp_path, many, url, client={"timeout": 30.0, "concurrency": 8}))
    assert summary["clips"] == CLIPS
    assert summary["failed"] == {"refused": 2, "error": 2, "truncated": 2, "malformed": 1, "broken": 1}
    assert summary["kept"] + sum(summary["failed"].values()) == CLIPS
    assert {row["id"] for row in made["failed"]} == {f"clip-{n:04d}" for n in ways}
    assert len({row["id"] for row in made["chains"]}) == summary["well_formed"] == CLIPS - 8


def test_the_order_of_the_output_is_that_of_the_clips_whatever_came_first(many, tmp_path):
    def late(body):
        time.sleep(0.02 if words_of(body) % 7 == 0 else 0)
        return canonical(body)

    found = []
    for answer, width in ((canonical, 2), (late, 16)):
        with serving(Fake(answer)) as url:
            ctx = context(tmp_path, many, url, store=tmp_path / str(width), client={"concurrency": width})
            run(ctx)
            found.append(outputs(ctx))
    assert found[0] == found[1]


def test_shards_share_the_clips_and_the_last_writes_them_all(many, tmp_path):
    fake = Fake(canonical)
    with serving(fake) as url:
        found = []
        for number in (2, 0, 1):
            with as_shard(number):
                ctx = context(tmp_path, many, url, shards=3)
                found.append(distil.run(ctx))
        alone = context(tmp_path, many, url, store=tmp_path / "alone")
        run(alone)
    assert found[:2] == [None, None]
    assert found[2]["clips"] == CLIPS
    assert outputs(ctx) == outputs(alone)
    assert max(fake.seen.values()) == 2


def test_a_block_of_thinking_of_its_own_is_stripped_or_refused(folder, tmp_path):
    native = Fake(lambda body: f"The user wants a <polarity>.\n</think>\n\n{canonical(body)}")
    with serving(native) as url:
        _, made = run(context(tmp_path, folder, url, teacher={"native_thinking": "strip"}))
        assert all(chain["text"].startswith("<polarity>") for chain in made["chains"])
        assert made["replies"][0]["text"].startswith("The user wants")
        with pytest.raises(InvalidStageSpec, match="opens a block of thinking"):
            run(context(tmp_path, folder, url, store=tmp_path / "other"))


def test_thinking_that_the_endpoint_parted_is_stored_with_the_reply(folder, tmp_path):
    def answer(body):
        data = completion(canonical(body), body)
        data["choices"][0]["message"]["reasoning_content"] = "hm"
        return data

    with serving(Fake(answer)) as url:
        _, made = run(context(tmp_path, folder, url))
    assert {reply["reasoning"] for reply in made["replies"]} == {"hm"}


def test_a_clip_that_cannot_be_decoded_fails_alone(tmp_path):
    folder = prepared(tmp_path / "p", 5)
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    (folder / "clips" / "torn.mp4").write_bytes(b"no film")
    lines[2] = lines[2].replace("one.mp4", "torn.mp4")
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    with serving(Fake(canonical)) as url:
        summary, made = run(context(tmp_path, folder, url))
    assert summary["failed"] == {"media": 1}
    assert made["failed"][0]["id"] == "clip-0002"
    assert "cannot be decoded" in made["failed"][0]["message"]


def test_an_endpoint_that_refuses_everything_ends_the_stage_early_and_no_clip_counts_as_failed(
    many, tmp_path
):
    fake = Fake(canonical, fault=lambda body, number: "400")
    with serving(fake) as url:
        with pytest.raises(InvalidStageSpec, match="refused the first 16 clips"):
            run(context(tmp_path, many, url))
        assert len(fake.bodies) < 30
        fake.fault = lambda body, number: None
        summary, _ = run(context(tmp_path, many, url))
    assert (summary["kept"], summary["failed"]) == (CLIPS, {})


def test_no_answer_at_all_is_no_result_and_requested_again_when_the_endpoint_is_mended(folder, tmp_path):
    fake = Fake(canonical, fault=lambda body, number: "400")
    with serving(fake) as url:
        with pytest.raises(InvalidData, match="none of 10 clips: {'refused': 10}"):
            run(context(tmp_path, folder, url))
        fake.fault = lambda body, number: "400" if words_of(body) == 3 else None
        summary, _ = run(context(tmp_path, folder, url))
    assert (summary["kept"], summary["failed"]) == (9, {"refused": 1})


def test_the_last_clips_may_fail_where_others_were_answered_before(many, tmp_path):
    """The second unit alone is missing, and none of its clips is answered."""
    fake = Fake(canonical, fault=lambda body, number: "400" if words_of(body) >= UNIT else None)
    with serving(fake) as url:
        first = context(tmp_path, many, url)
        run(first)
        unit = f"{records.work_name('distil', KEY)}/units/00001.jsonl"
        first.store.delete(unit)
        for name in list(first.store.names(f"{records.work_name('distil', KEY)}/journal")):
            first.store.delete(name)
        summary, _ = run(context(tmp_path, many, url))
    assert (summary["kept"], summary["failed"]) == (UNIT, {"refused": CLIPS - UNIT})


def test_progress_counts_clips_however_many_samples_they_have(folder, tmp_path):
    with serving(Fake(canonical)) as url:
        ctx = context(tmp_path, folder, url, teacher={"samples": 3})
        told = []
        ctx.progress = lambda done, total, unit: told.append(done)
        run(ctx)
    assert sorted(told) == told
    assert told[-1] == 10
    assert told.count(10) <= 2, "the last clip, and its unit"


def test_an_outage_ends_the_attempt_and_keeps_what_was_answered(many, tmp_path, monkeypatch):
    hasty = {"shards": 1, "spent": 0.0, "patience": 0.2}
    monkeypatch.setattr(client_module.ChatClient.__init__, "__kwdefaults__", hasty)
    answered = Counter()

    def answer(body):
        answered[words_of(body)] += 1
        return canonical(body)

    fake = Fake(answer, fault=lambda body, number: "503" if answered.total() >= 40 else None)
    with serving(fake) as url:
        with pytest.raises(Unreachable, match="busy"):
            run(context(tmp_path, many, url))
        fake.fault = lambda body, number: None
        summary, _ = run(context(tmp_path, many, url))
    assert summary["kept"] == CLIPS
    assert max(answered.values()) == 1


def test_a_budget_is_that_of_all_attempts(many, tmp_path):
    """Each reply costs about 0.0001 x 100 + 1e-4 x 50; room for some forty of them."""
    how = {"price_in": 100.0, "price_out": 100.0}
    fake = Fake(canonical)
    with serving(fake) as url:
        for limit in (0.4, 0.8):
            with pytest.raises(InvalidStageSpec, match="the budget is spent"):
                client = {**how, "max_cost": limit}
                run(context(tmp_path, many, url, teacher={"max_new_tokens": 100}, client=client))
            spent = sum(100 * (100 + len(canonical(b)) // 4) / 1e6 for b in fake.bodies)
            assert limit - 0.15 < spent <= limit
        summary, _ = run(context(tmp_path, many, url, client={**how, "max_cost": 9.0}))
    assert summary["kept"] == CLIPS
    assert max(fake.seen.values()) == 1
