"""One message to a webhook when an experiment ends, or a stage fails for good. It never fails a run.

The URL is a secret (whoever has it can post), so it comes by the environment variable `C2F_NOTIFY_URL`, from the Secret
that `notify.secret` of the environment names, and is in no message and no error. A message that was delivered leaves
`plans/<digest>/told/<what>.json`: a driver that was killed and started again says nothing twice, unless it was killed
between the two, and a message that came twice is better than one that never came.

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

from c2f_spec.errors import REMEDY, StageExit, Unreachable, printable
from c2f_spec.keys import content_key
from c2f_spec.masking import masked, secret_values
from c2f_spec.store import records
from c2f_spec.store.stage_logs import last_attempt_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


VARIABLE = "C2F_NOTIFY_URL"
TAIL_LINES = 20
"""Of the end of a log."""
MAX_LINE = 300
"""Characters of a line; robots refuse bodies of more than 20 KB."""
TIMEOUT = 10.0
"""Seconds, for each of `TRIES`: a receiver that hangs must not hold up the driver."""
TRIES = 2


@dataclass(frozen=True, slots=True)
class Message:
    """What happened. Masked and printable from the start: see `message`."""

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
    """How often the stage had failed; tells a second failure from a first one that is told again."""

    @property
    def name(self) -> str:
        """Equal for what is one piece of news."""
        news = [self.event, self.stage, self.attempt, dict(sorted(self.counts.items()))]
        return f"{self.event}-{content_key({'news': news})[:16]}"

    @property
    def text(self) -> str:
        """For people: what, why, what to do, and the end of the log."""
        head = f"c2f-spec: {self.experiment} on {self.environment}"
        about = f"{self.stage} ({self.label}) failed: {self.cause}" if self.event == "failed" else self.cause
        lines = [head, about, *([f"hint: {self.hint}"] if self.hint else []), f"next: {self.next}"]
        return "\n".join([*lines, *(["", *self.tail] if self.tail else [])])


def clean_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines of a log, without secrets, control characters and more than `WIDTH`."""
    values = secret_values()
    return tuple(printable(masked(line, values))[:MAX_LINE] for line in lines[-TAIL_LINES:])


def render_body(message: Message, form: str) -> dict[str, Any]:
    """What a receiver of `form` understands."""
    if form == "feishu":
        return {"msg_type": "text", "content": {"text": message.text}}
    if form == "dingtalk":
        return {"msgtype": "text", "text": {"content": message.text}}
    if form == "slack":
        return {"text": message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    return {"format_version": 1, **asdict(message), "text": message.text}


def deliver(store: ObjectStore, url: str, form: str, message: Message) -> str:
    """Deliver a message once. Returns why it was not delivered, or nothing."""
    marker = f"plans/{message.plan}/told/{message.name}.json"
    if store.exists(marker):
        return ""
    problem = ""
    for _ in range(TRIES):
        problem = _post(url, json.dumps(render_body(message, form), ensure_ascii=False).encode())
        if not problem:
            store.create(marker, json.dumps({"text": message.text}, ensure_ascii=False).encode())
            return ""
    return f"the webhook of `notify` was not told of it: {problem}"


def _post(url: str, data: bytes) -> str:
    """Why `url` did not take `data`, or nothing. The URL itself is in no answer."""
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
        return f"{type(reason).__name__}: {masked(str(reason), (url,))[:120]}"


def _error_in_answer(answer: bytes) -> str:
    """Feishu and DingTalk refuse with status 200 and a code in the body."""
    try:
        given = json.loads(answer)
    except ValueError:
        return ""
    code = (given.get("code") or given.get("errcode") or 0) if isinstance(given, dict) else 0
    return (
        "" if code == 0 else f"it answered code {code}: {str(given.get('msg') or given.get('errmsg'))[:120]}"
    )


# Events of a run → messages of `notify`, for whoever drives the run.
#
# A receiver that is down is told of in the driver's log and changes nothing else: messages are delivered in a thread of
# their own, so a webhook that hangs holds up neither the loop nor the lease.


LAST_SECONDS = 60.0
"""The driver's pod waits so long for its last messages to be taken."""


class Notifier:
    """Of one plan. Without a webhook in its environment, silence."""

    def __init__(self, plan: Plan, store: ObjectStore, warn: Callable[[str], None]) -> None:
        """`complain` is told why a message was not delivered."""
        self.plan, self.store, self.warn = plan, store, warn
        notify = getattr(plan.environment, "notify", None)
        self.form = notify.format if notify else None
        self.url = os.environ.get(VARIABLE, "")
        asked = plan.asked
        settings = (word for setting in asked.settings for word in ("--set", setting))
        specs = asked.specs or (f"{plan.name}.yaml",)
        self.spec = shlex.join(["--on", plan.environment_name, *settings, *specs])
        self._messages: queue.SimpleQueue[Callable[[], Message] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, name="news", daemon=True)
        if self.form is not None:
            self._thread.start()

    def on_event(self, event: Event) -> None:
        """A stage that failed for good is news at once; everything else waits for the end."""
        if event.status == "failed":
            self._tell(lambda: self._failed(event.stage, event.detail))

    def on_end(self, events: Iterable[Event]) -> None:
        """The experiment has ended; `events` are the last ones of its stages. Waits for what is still to be told."""
        counts: Counter[str] = Counter(event.status for event in events)
        self._tell(lambda: self._ended(counts))
        self.close()

    def close(self) -> None:
        """Wait for what is still to be told, at most `LAST_SECONDS`."""
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
        told = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        return Message(
            event="ended",
            experiment=self.plan.name,
            environment=self.plan.environment_name,
            plan=self.plan.digest,
            cause=f"{'done' if good else 'ended with failures'}: {told}",
            next=f"c2f-spec {'report' if good else 'status'} {self.spec}",
            counts=dict(sorted(counts.items())),
        )

    def _tell(self, message: Callable[[], Message]) -> None:
        if self.form is not None:
            self._messages.put(message)

    def _deliver(self) -> None:
        assert self.form is not None
        while (message := self._messages.get()) is not None:
            try:
                problem = deliver(self.store, self.url, self.form, message())
            except Unreachable as error:  # the store, which the loop itself will complain of
                problem = f"a message was not told: {error.message}"
            if problem:
                self.warn(problem)
