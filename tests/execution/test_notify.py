"""The webhook, against a real server on this machine."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from c2f_spec.execution import notifications
from c2f_spec.execution.notifications import Message, clean_lines, deliver, render_body
from c2f_spec.store.open import open_store


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets and answers what it is told to, in turn; the last answer stays."""

    daemon_threads = True

    def __init__(self, *answers: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.got = list(answers), []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=c2f-canary-token-0123456789"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, text = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        if status == 0:  # hang up without a word
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    made = []

    def make(*answers):
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


FAILED = Message(
    event="failed", experiment="sims-hint", environment="a800", plan="0" * 64, cause="out of memory",
    next="c2f-spec retry specs/sims_hint.yaml grpo-0123456789", stage="grpo-0123456789",
    label="reinforcement learning (GRPO)", hint="lower `micro_batch`", tail=("step 11", "step 12"), attempt=1,
)  # fmt: skip
TEXT = """\
c2f-spec: sims-hint on a800
grpo-0123456789 (reinforcement learning (GRPO)) failed: out of memory
hint: lower `micro_batch`
next: c2f-spec retry specs/sims_hint.yaml grpo-0123456789

step 11
step 12"""


@pytest.mark.parametrize(
    ("form", "answer", "text"),
    [
        ("json", "", lambda b: b["text"]),
        ("feishu", '{"code":0,"msg":"success"}', lambda b: b["content"]["text"]),
        ("dingtalk", '{"errcode":0,"errmsg":"ok"}', lambda b: b["text"]["content"]),
        ("slack", "ok", lambda b: b["text"]),
    ],
)
def test_each_receiver_gets_its_form_once(receiver, tmp_path, form, answer, text):
    server, objects = receiver((200, answer)), open_store(str(tmp_path))
    assert deliver(objects, server.url, form, FAILED) == ""
    assert deliver(objects, server.url, form, FAILED) == ""
    assert [text(b) for b in server.got] == [TEXT]


def test_the_generic_form_has_every_part_by_name():
    found = render_body(FAILED, "json")
    assert found["format_version"] == 1
    assert (found["event"], found["stage"], found["cause"]) == ("failed", "grpo-0123456789", "out of memory")
    assert found["tail"] == ("step 11", "step 12")


def test_news_is_told_again_only_if_it_is_news():
    from dataclasses import replace

    assert replace(FAILED, tail=()).name == FAILED.name
    assert replace(FAILED, attempt=2).name != FAILED.name
    ended = replace(FAILED, event="ended", stage="", counts={"done": 3})
    assert replace(ended, counts={"done": 2, "failed": 1}).name != ended.name


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        (((500, ""),), "it answered 500"),
        (
            ((200, '{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}'),),
            "code 19001",
        ),
        (((200, '{"errcode":310000,"errmsg":"keywords not in content"}'),), "code 310000: keywords"),
        (((0, ""),), "RemoteDisconnected"),
    ],
)
def test_a_refusal_is_told_and_names_no_url(receiver, tmp_path, answers, problem):
    server, objects = receiver(*answers), open_store(str(tmp_path))
    told = deliver(objects, server.url, "json", FAILED)
    assert problem in told
    assert "canary" not in told
    assert len(server.got) == notifications.TRIES
    assert list(objects.names("plans")) == []  # it is tried again with the next news


def test_a_second_try_may_succeed(receiver, tmp_path):
    server = receiver((503, ""), (200, "ok"))
    assert deliver(open_store(str(tmp_path)), server.url, "json", FAILED) == ""
    assert len(server.got) == 2


def test_nobody_there_and_nonsense(tmp_path):
    objects = open_store(str(tmp_path))
    assert "ConnectionRefusedError" in deliver(objects, "http://127.0.0.1:9/x", "json", FAILED)
    assert "not an http" in deliver(objects, "file:///etc/passwd", "json", FAILED)


def test_the_tail_of_a_log_is_short_and_clean(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c2f-canary-0123456789")
    lines = [*(f"step {i}" for i in range(100)), "key c2f-canary-0123456789\x1b[2J", "x" * 5000]
    tail = clean_lines(lines)
    assert len(tail) == notifications.TAIL_LINES
    assert max(map(len, tail)) <= notifications.MAX_LINE
    assert "canary" not in "".join(tail)
    assert "\x1b" not in "".join(tail)


def test_the_driver_tells_of_a_failure_and_of_the_end(receiver, tmp_path, monkeypatch):
    from c2f_spec.execution.notifications import Notifier
    from c2f_spec.execution.run import Event
    from c2f_spec.spec.cluster import Notify
    from c2f_spec.store import records
    from c2f_spec.store.stage_logs import piece_name
    from tests.support.cluster_world import chains

    server, objects = receiver((200, '{"code":0}')), open_store(str(tmp_path))
    monkeypatch.setenv("C2F_NOTIFY_URL", server.url)
    plan = chains(objects.url, 1, notify=Notify(format="feishu", secret="notify"))
    stage, *rest = plan.stages
    log = "".join(f"step {i}\n" for i in range(30)) + "AWS_SECRET_ACCESS_KEY=c2f-canary-0123456789\n"
    objects.create(piece_name(stage.kind, stage.key, "a", 0), log.encode())
    records.add_failure(
        objects,
        stage.kind,
        stage.key,
        {"code": 71, "class": "out of memory", "message": "killed", "hint": ""},
    )
    for _ in range(2):  # a driver that was killed, and the next one: they see the same
        problems = []
        news = Notifier(plan, objects, problems.append)
        news.on_event(Event(stage, "failed", "killed"))
        news.on_event(Event(rest[0], "blocked", f"needs {stage.name}"))
        news.on_end([Event(stage, "failed"), *(Event(s, "blocked") for s in rest)])
        assert problems == []
    failed, ended = (b["content"]["text"] for b in server.got)
    assert f"{stage.name} (prepare 0) failed: killed" in failed
    assert "hint: lower the field that the message names" in failed
    assert (
        f"next: c2f-spec retry --on kind chains.yaml {stage.name} && c2f-spec apply --on kind chains.yaml"
        in failed
    )
    assert "step 29" in failed
    assert "step 9\n" not in failed
    assert "canary" not in failed
    assert "ended with failures: 2 blocked, 1 failed" in ended


def test_a_receiver_that_hangs_holds_up_nothing(receiver, tmp_path, monkeypatch):
    from c2f_spec.execution.run import Event
    from c2f_spec.spec.cluster import Notify
    from tests.support.cluster_world import chains

    monkeypatch.setattr(notifications, "TIMEOUT", 0.2)
    released, post = threading.Event(), notifications._post

    def post_later(url, data):
        released.wait()
        return post(url, data)

    monkeypatch.setattr(notifications, "_post", post_later)
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and answers nothing
    monkeypatch.setenv("C2F_NOTIFY_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/x")
    objects = open_store(str(tmp_path))
    plan = chains(objects.url, 3, notify=Notify(secret="notify"))
    problems = []
    told = notifications.Notifier(plan, objects, problems.append)
    for stage in plan.stages:
        told.on_event(Event(stage, "failed", "x"))
    assert problems == []
    released.set()
    told.close()
    silent.close()
    assert len(problems) == len(plan.stages)
    assert all("did not take the message" in problem for problem in problems)


def test_an_environment_without_a_webhook_is_silent(tmp_path, monkeypatch):
    from c2f_spec.execution.notifications import Notifier
    from c2f_spec.execution.run import Event
    from tests.support.cluster_world import chains

    monkeypatch.setenv("C2F_NOTIFY_URL", "http://127.0.0.1:9/x")
    plan = chains(str(tmp_path), 1)
    problems = []
    Notifier(plan, open_store(str(tmp_path)), problems.append).on_end([Event(s, "done") for s in plan.stages])
    assert problems == []
