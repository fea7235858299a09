"""Events of a run → messages of `notify`, for whoever drives the run.

A receiver that is down is told of in the driver's log and changes nothing else: messages are delivered in a thread of
their own, so a webhook that hangs holds up neither the loop nor the lease.
"""

from __future__ import annotations

import os
import queue
import shlex
import threading
from collections import Counter
from typing import TYPE_CHECKING

from c2f_spec.errors import REMEDY, StageExit, Unreachable
from c2f_spec.notify import VARIABLE, Message, clean, tell
from c2f_spec.store import records
from c2f_spec.store.logs import tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.run import Event
    from c2f_spec.store.objects import Objects


LAST_SECONDS = 60.0
"""The driver's pod waits so long for its last messages to be taken."""


class News:
    """Of one plan. Without a webhook in its environment, silence."""

    def __init__(self, plan: Plan, objects: Objects, complain: Callable[[str], None]) -> None:
        """`complain` is told why a message was not delivered."""
        self.plan, self.objects, self.complain = plan, objects, complain
        notify = plan.environment.notify if plan.environment.kind == "kubernetes" else None
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

    def saw(self, event: Event) -> None:
        """A stage that failed for good is news at once; everything else waits for the end."""
        if event.what == "failed":
            self._tell(lambda: self._failed(event.stage, event.detail))

    def ended(self, events: Iterable[Event]) -> None:
        """The experiment has ended; `events` are the last ones of its stages. Waits for what is still to be told."""
        counts: Counter[str] = Counter(event.what for event in events)
        self._tell(lambda: self._ended(counts))
        self.close()

    def close(self) -> None:
        """Wait for what is still to be told, at most `LAST_SECONDS`."""
        if self._thread.is_alive():
            self._messages.put(None)
            self._thread.join(LAST_SECONDS)

    def _failed(self, stage: Stage, detail: str) -> Message:
        found = records.failures(self.objects, stage.kind, stage.key)
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
            cause=clean([str(last.get("message") or detail)])[0],
            hint=clean([str(last.get("hint") or remedy)])[0],
            tail=clean(tail(self.objects, stage.kind, stage.key)),
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
                problem = tell(self.objects, self.url, self.form, message())
            except Unreachable as error:  # the store, which the loop itself will complain of
                problem = f"a message was not told: {error.message}"
            if problem:
                self.complain(problem)
