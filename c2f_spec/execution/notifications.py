"""One message to a webhook when an experiment ends, or a stage fails for good. It never fails a run.

The URL is a secret (whoever has it can post), so it comes by the environment variable `C2F_NOTIFY_URL`, from the Secret
that `notify.secret` of the environment names, and is in no message and no error. A delivered message leaves
`plans/<digest>/notified/<name>.json`, so that a restarted driver does not repeat it, unless it was killed between the two:
a duplicate message is better than a lost one. Messages are delivered in a thread of their own: a webhook that hangs holds
up neither the loop nor the lease.

Bodies: Feishu (open.feishu.cn/document, custom bot), DingTalk (open.dingtalk.com, custom robot; its keyword check is met
by `c2f-spec`, which every message starts with), Slack (docs.slack.dev, incoming webhooks), and plain JSON.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.errors import REMEDY, StageExit, Unreachable, sanitize
from c2f_spec.keys import content_key
from c2f_spec.masking import mask_secrets, secret_values
from c2f_spec.store import records
from c2f_spec.store.stage_logs import last_attempt_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


VARIABLE = "C2F_NOTIFY_URL"
TAIL_LINES = 20
"""Lines of the end of a log in a message."""
MAX_LINE = 300
"""Characters of a line; robots refuse bodies of more than 20 KB."""
TIMEOUT = 10.0
"""Seconds, for each of `TRIES`: a receiver that hangs must not hold up the driver."""
TRIES = 2


@dataclass(frozen=True, slots=True)
class Message:
    """An event of a plan. All texts are masked and printable."""

    event: Literal["ended", "failed"]
    experiment: str
    environment: str
    plan: str
    """Its digest."""
    cause: str
    next: str
    """The command to type now."""
    stage: str = ""
    label: str = ""
    hint: str = ""
    tail: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    """State to number of stages, at the end."""
    attempt: int = 0
    """Failures of the stage so far: distinguishes a second failure from a repeated message."""

    @property
    def name(self) -> str:
        """A name that is equal for messages about the same event."""
        event = [self.event, self.stage, self.attempt, dict(sorted(self.counts.items()))]
        return f"{self.event}-{content_key({'event': event})[:16]}"

    @property
    def text(self) -> str:
        """The text for people: event, cause, hint, next command, and the end of the log."""
        head = f"c2f-spec: {self.experiment} on {self.environment}"
        about = f"{self.stage} ({self.label}) failed: {self.cause}" if self.event == "failed" else self.cause
        lines = [head, about, *([f"hint: {self.hint}"] if self.hint else []), f"next: {self.next}"]
        return "\n".join([*lines, *(["", *self.tail] if self.tail else [])])


def clean_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last lines of a log without secrets and control characters, at most `MAX_LINE` wide."""
    values = secret_values()
    return tuple(sanitize(mask_secrets(line, values))[:MAX_LINE] for line in lines[-TAIL_LINES:])


def render_body(message: Message, form: str) -> dict[str, Any]:
    """Return the JSON body that a receiver of `form` expects."""
    if form == "feishu":
        return {"msg_type": "text", "content": {"text": message.text}}
    if form == "dingtalk":
        return {"msgtype": "text", "text": {"content": message.text}}
    if form == "slack":
        return {"text": message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    return {"format_version": 1, **asdict(message), "text": message.text}


def deliver(store: ObjectStore, url: str, form: str, message: Message) -> str:
    """Deliver a message once. Return the problem if it was not delivered, or an empty text."""
    marker = f"plans/{message.plan}/notified/{message.name}.json"
    if store.exists(marker):
        return ""
    problem = ""
    for _ in range(TRIES):
        problem = _post(url, json.dumps(render_body(message, form), ensure_ascii=False).encode())
        if not problem:
            store.create(marker, json.dumps({"text": message.text}, ensure_ascii=False).encode())
            return ""
    return f"the webhook of `notify` did not take the message: {problem}"


def _post(url: str, data: bytes) -> str:
    """POST `data`; return the problem, without the URL, or an empty text."""
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        return f"{VARIABLE} is not an http or https URL"
    request = urllib.request.Request(  # noqa: S310  checked above
        url, data, {"Content-Type": "application/json; charset=utf-8", "User-Agent": "c2f-spec"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return _error_in_answer(answer.read(4096))
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"{type(reason).__name__}: {mask_secrets(str(reason), (url,))[:120]}"


def _error_in_answer(answer: bytes) -> str:
    """Feishu and DingTalk refuse with status 200 and a code in the body."""
    try:
        reply = json.loads(answer)
    except ValueError:
        return ""
    code = (reply.get("code") or reply.get("errcode") or 0) if isinstance(reply, dict) else 0
    return (
        "" if code == 0 else f"it answered code {code}: {str(reply.get('msg') or reply.get('errmsg'))[:120]}"
    )


LAST_SECONDS = 60.0
"""Time that the driver's pod waits for the delivery of its last messages."""


class Notifier:
    """Sends the messages of one plan; does nothing without a webhook in its environment."""

    def __init__(self, plan: Plan, store: ObjectStore, warn: Callable[[str], None]) -> None:
        """`warn` is called with the reason if a message was not delivered."""
        self.plan, self.store, self.warn = plan, store, warn
        notify = getattr(plan.environment, "notify", None)
        self.form = notify.format if notify else None
        self.url = os.environ.get(VARIABLE, "")
        request = plan.request
        settings = (word for setting in request.settings for word in ("--set", setting))
        specs = request.specs or (f"{plan.name}.yaml",)
        self.spec = shlex.join(["--on", plan.environment_name, *settings, *specs])
        self._messages: queue.SimpleQueue[Callable[[], Message] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, name="notifications", daemon=True)
        if self.form is not None:
            self._thread.start()

    def on_event(self, event: Event) -> None:
        """Send a message if the event is a stage that failed for good; others wait for the end."""
        if event.status == "failed":
            self._enqueue(lambda: self._failed(event.stage, event.detail))

    def on_end(self, events: Iterable[Event]) -> None:
        """Send the message of the end; `events` are the last ones of the stages. Waits for the delivery of all messages."""
        counts: Counter[str] = Counter(event.status for event in events)
        self._enqueue(lambda: self._ended(counts))
        self.close()

    def close(self) -> None:
        """Wait for the delivery of all messages, at most `LAST_SECONDS`."""
        if self._thread.is_alive():
            self._messages.put(None)
            self._thread.join(LAST_SECONDS)

    def _failed(self, stage: Stage, detail: str) -> Message:
        found = records.read_failures(self.store, stage.kind, stage.key)
        last = found[-1] if found else {}
        code = last.get("code")
        remedy = REMEDY.get(StageExit(code), "") if code in set(StageExit) else ""
        return Message(
            event="failed",
            experiment=self.plan.name,
            environment=self.plan.environment_name,
            plan=self.plan.digest,
            stage=stage.name,
            label=stage.label,
            cause=clean_lines([str(last.get("message") or detail)])[0],
            hint=clean_lines([str(last.get("hint") or remedy)])[0],
            tail=clean_lines(last_attempt_lines(self.store, stage.kind, stage.key)),
            next=f"c2f-spec retry {self.spec} {stage.name} && c2f-spec apply {self.spec}",
            attempt=len(found),
        )

    def _ended(self, counts: Counter[str]) -> Message:
        good = not (counts["failed"] or counts["blocked"])
        text = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        return Message(
            event="ended",
            experiment=self.plan.name,
            environment=self.plan.environment_name,
            plan=self.plan.digest,
            cause=f"{'done' if good else 'ended with failures'}: {text}",
            next=f"c2f-spec {'report' if good else 'status'} {self.spec}",
            counts=dict(sorted(counts.items())),
        )

    def _enqueue(self, message: Callable[[], Message]) -> None:
        if self.form is not None:
            self._messages.put(message)

    def _deliver(self) -> None:
        assert self.form is not None
        while (message := self._messages.get()) is not None:
            try:
                problem = deliver(self.store, self.url, self.form, message())
            except Unreachable as error:  # the loop itself will report the store
                problem = f"a message was not delivered: {error.message}"
            if problem:
                self.warn(problem)
