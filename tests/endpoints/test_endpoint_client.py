"""The client of endpoints, over HTTP against an endpoint that misbehaves."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from c2f_spec.errors import InvalidStageSpec, Unreachable
from c2f_spec.spec.endpoint import Client as How
from c2f_spec.spec.handoff import Endpoint
from runtime.endpoints import chat_client as module
from runtime.endpoints.chat_client import ATTEMPTS, ChatClient, Message, text_message, text_part
from runtime.endpoints.replies import RequestFailed, RetryableError, _retry_after, parse_reply
from tests.support.fake_endpoint import Fake, completion, serving

SHORT = 1.0
"""Seconds; enough for a proper answer of a busy machine, and too few for one that stalls."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def client_of(url, *, model="m", shards=1, patience=5.0, variable=None, **how):
    endpoint = Endpoint(url=url, variable=variable, client=How(**{"timeout": 30.0, **how}))
    return ChatClient(endpoint, model, shards=shards, patience=patience)


def ask(client, words="hello", **settings):
    return client.chat([text_message("user", words)], **{"max_tokens": 20, **settings})


def test_a_request_has_the_messages_and_settings_and_a_reply_has_text_and_counts():
    fake = Fake(lambda body: "a “reply” 好")
    parts = (b'{"type":"video_url","video_url":{"url":"data:video/mp4;base64,AAAA"}}', text_part("say “好”"))
    with serving(fake) as url:
        reply = client_of(url).chat(
            [text_message("system", "be brief"), Message("user", parts)],
            max_tokens=7,
            temperature=0.5,
            top_p=0.9,
            seed=11,
        )
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish) == ("a “reply” 好", 100, 2, "stop")
    assert reply.seconds > 0
    assert fake.bodies == [
        {
            "model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 11,
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
                {"role": "user", "content": [json.loads(part) for part in parts]},
            ],
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault", ["429", "429-date", "500", "502", "503", "stall", "cut", "odd", "empty", "reset", "slow"]
)
def test_a_fault_that_passes_costs_nothing_but_time(fault):
    fake = Fake(fault=lambda body, number: fault if number < 2 else None)
    with serving(fake) as url:
        reply = ask(client_of(url, timeout=SHORT if fault in ("stall", "slow") else 30.0))
    assert reply.text.startswith("reply ")
    assert list(fake.seen.values()) == [3]


@pytest.mark.parametrize(
    ("fault", "reason", "times"),
    [("500", "error", ATTEMPTS), ("stall", "timeout", ATTEMPTS), ("cut", "truncated", ATTEMPTS),
     ("odd", "malformed", ATTEMPTS), ("reset", "broken", ATTEMPTS), ("400", "refused", 1), ("413", "refused", 1)],
)  # fmt: skip
def test_a_request_that_always_fails_is_given_up_while_the_endpoint_answers(fault, reason, times):
    fake = Fake(fault=lambda body, number: fault)
    with serving(fake) as url, pytest.raises(RequestFailed) as caught:
        ask(client_of(url, timeout=0.1 if fault == "stall" else 30.0))
    assert caught.value.reason == reason
    assert list(fake.seen.values()) == [times]


@pytest.mark.parametrize("fault", ["429", "503"])
def test_an_endpoint_that_is_busy_for_too_long_fails_no_request(fault):
    with serving(Fake(fault=lambda body, number: fault)) as url, pytest.raises(Unreachable, match="busy"):
        ask(client_of(url, patience=0.2))


def test_an_endpoint_that_is_away_fails_no_request():
    with serving(Fake()) as url:
        pass
    with pytest.raises(Unreachable, match="connection"):
        ask(client_of(url, patience=0.2))


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "denies permission"), (403, "denies permission"), (404, "answers 404"), (302, "answers 302"), (402, "no credit")],
)  # fmt: skip
def test_what_no_request_gets_past_ends_the_stage(status, words):
    with (
        serving(Fake(fault=lambda body, number: str(status))) as url,
        pytest.raises(InvalidStageSpec, match=words),
    ):
        ask(client_of(url))


def test_the_retry_after_of_one_request_holds_for_all():
    """Eight threads, one 429: nobody sends in the 50 ms that it asks for."""
    told = threading.Event()

    def fault(body, number):
        if not told.is_set():
            told.set()
            return "429"
        return None

    fake = Fake(fault=fault)
    with serving(fake) as url:
        client = client_of(url)
        ask(client, "first")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: ask(client, f"clip {n}"), range(8)))
    assert fake.times[1] - fake.times[0] >= 0.045


def test_so_many_a_minute_of_all_pods_together():
    fake = Fake()
    with serving(fake) as url:
        client = client_of(url, requests_per_minute=2400, shards=2)
        for n in range(4):
            ask(client, f"clip {n}")
    assert fake.times[-1] - fake.times[0] >= 3 * 0.05 - 0.01


def test_the_key_comes_from_a_variable_or_a_file_and_is_never_printed(tmp_path, monkeypatch):
    key = "sk-0123456789abcdef0123"
    with serving(Fake(key=key)) as url:
        monkeypatch.setenv("TEACHER_KEY", key)
        assert ask(client_of(url, variable="TEACHER_KEY")).text
        monkeypatch.delenv("TEACHER_KEY")
        (tmp_path / "key").write_text(f"{key}\n")
        monkeypatch.setenv("TEACHER_KEY_FILE", str(tmp_path / "key"))
        assert ask(client_of(url, variable="TEACHER_KEY")).text
        monkeypatch.setenv("TEACHER_KEY", "another")
        with pytest.raises(InvalidStageSpec, match="denies permission"):
            ask(client_of(url, variable="TEACHER_KEY"))
        monkeypatch.delenv("TEACHER_KEY")
        for text_ in ("", "two\nlines"):
            (tmp_path / "key").write_text(text_)
            with pytest.raises(InvalidStageSpec, match="TEACHER_KEY is empty"):
                client_of(url, variable="TEACHER_KEY")
        monkeypatch.setenv("TEACHER_KEY_FILE", str(tmp_path / "none"))
        with pytest.raises(InvalidStageSpec, match="cannot read .*TEACHER_KEY_FILE names"):
            client_of(url, variable="TEACHER_KEY")


@pytest.mark.parametrize(("fault", "error"), [("400-echo", RequestFailed), ("401-echo", InvalidStageSpec), ("503-echo", Unreachable)])  # fmt: skip
def test_a_key_that_the_endpoint_repeats_is_masked_wherever_its_words_go(fault, error, monkeypatch):
    monkeypatch.setenv("K", "hunter2-hunter2")
    with serving(Fake(fault=lambda body, number: fault)) as url, pytest.raises(error) as caught:
        ask(client_of(url, variable="K", patience=0.1))
    assert "***" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_budget_holds_while_many_requests_are_under_way():
    """Replies of 10 tokens at 1 each, at most 20, and prompts of 100 at 0.1: the last of 15 needs room for 30."""
    fake = Fake(lambda body: "x" * 40, seconds=0.01)
    with serving(fake) as url:
        client = client_of(url, price_in=100_000, price_out=1_000_000, max_cost=620.0, shards=2)
        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(ask, client, f"clip {n}") for n in range(40)]
        spent = [d for d in done if not d.exception()]
        errors = {str(d.exception()) for d in done if d.exception()}
    assert len(spent) == 15, "nobody is refused while what was set aside for others may come back"
    assert client.budget.spent == pytest.approx(20 * 15)
    assert all("the budget is spent" in error for error in errors)
    assert len(fake.bodies) == len(spent)


def test_a_budget_needs_counts():
    with serving(Fake(usage=False)) as url:
        assert ask(client_of(url)).tokens_in is None
        with pytest.raises(InvalidStageSpec, match="does not report token counts"):
            ask(client_of(url, price_in=1.0, price_out=1.0, max_cost=9.0))


def answered(status=200, body=b"", **headers):
    return parse_reply(status, headers, body, 0.1, "http://e/v1")


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [({"message": "slow down", "code": 429}, RetryableError, "busy"), ({"message": "behind it all broke"}, RetryableError, "behind it all broke"),
     ({"message": "too long", "code": 400}, RequestFailed, "too long"), ("no", RetryableError, "500: no"), ({"code": 401}, InvalidStageSpec, "key")],
)  # fmt: skip
def test_an_error_inside_of_an_answer_of_200_is_that_error(error, raised, words):
    with pytest.raises(raised, match=words):
        answered(body=json.dumps({"error": error}).encode())
    both = {**completion("x", {"model": "m"}), "error": None}
    assert answered(body=json.dumps(both).encode()).text == "x"


def test_a_refusal_in_a_reply_is_no_answer():
    for change in ({"finish_reason": "content_filter"}, {"message": {"content": None, "refusal": "no"}}):
        data = completion("x", {"model": "m"})
        data["choices"][0] |= change
        with pytest.raises(RequestFailed, match="withheld"):
            answered(body=json.dumps(data).encode())


def test_the_models_own_thinking_is_a_field_of_its_own():
    data = completion("x", {"model": "m"}, finish="length")
    data["choices"][0]["message"]["reasoning_content"] = "hm"
    reply = answered(body=json.dumps(data).encode())
    assert (reply.text, reply.reasoning, reply.finish) == ("x", "hm", "length")


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b'{"choices": [{"message": {"content": 3}}]}', b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "7"}}',
     b"<html>", b"[" * 100_000, b'{"choices": [{"message": {"content": "x"}, "finish_reason": 3}]}'],
)  # fmt: skip
def test_hostile_replies_are_malformed(body):
    with pytest.raises(RetryableError, match="malformed"):
        answered(body=body)
    with pytest.raises(RetryableError):
        answered(500, body)


def reply_of(message, finish="stop"):
    data = completion("x", {"model": "m"}, finish=finish)
    data["choices"][0]["message"] = {"role": "assistant", **message}
    return answered(body=json.dumps(data).encode())


def test_tokens_that_all_went_into_thinking_are_an_answer_without_words():
    thought = reply_of({"content": None, "reasoning_content": "on and on"}, "length")
    assert (thought.text, thought.reasoning, thought.finish) == ("", "on and on", "length")
    assert reply_of({"content": None}, "length").text == ""
    with pytest.raises(RetryableError, match="malformed"):
        reply_of({"content": None})


def test_half_a_character_can_be_written_down():
    data = json.dumps(completion("?", {"model": "m"})).replace('"?"', r'"sad \ud83d"')
    reply = answered(body=data.encode())
    assert reply.text == "sad \ufffd"
    assert reply_of({"content": "😀 好"}).text == "😀 好"


def test_an_endpoint_whose_retry_after_is_past_does_not_get_requests_as_fast_as_can_be():
    fake = Fake(fault=lambda body, number: "429-date")
    with serving(fake) as url, pytest.raises(Unreachable, match="busy"):
        ask(client_of(url, patience=0.1))
    assert sum(fake.seen.values()) <= 0.1 / (0.01 / 2) + 1


def test_retry_after_is_a_number_or_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert _retry_after("7") == 7.0
    assert 55 < _retry_after(later) <= 60
    assert _retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0
    assert [_retry_after(v) for v in (None, "soon", "nan", "inf")] == [None] * 4


def test_a_long_wait_that_the_endpoint_demands_ends_the_attempt_at_once():
    fake = Fake(fault=lambda body, number: "429")
    with serving(fake) as url, pytest.raises(Unreachable):
        ask(client_of(url, patience=0.01))
    assert sum(fake.seen.values()) == 1
