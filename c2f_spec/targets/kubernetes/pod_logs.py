"""Read the log of a stage across its pods: from a pod while it exists, and from the store after it is gone.

A pod's uid is the name of its attempt, which joins both halves of one attempt. Where a pod goes away while it is read,
the store takes over after the last line that was read. What the boot script prints is in the pod's log alone, so lines
are compared, not counted.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import Unreachable
from c2f_spec.store import stage_logs as stored
from c2f_spec.targets.kubernetes.client import PODS
from c2f_spec.targets.kubernetes.errors import ApiError
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.status.termination import explain_pod_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.plan.model import Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client

Dict = dict[str, Any]
POLL_SECONDS = 2.0
OVERLAP = 5
"""Number of lines by which the place is found again where the store takes over."""
INDEX = "batch.kubernetes.io/job-completion-index"


class Attempt(NamedTuple):
    """An attempt at a stage, which is a pod."""

    id: str
    pod: Dict | None
    stored: bool


def attempt_of(pod: Dict) -> str:
    """Return the name that the runtime gives to the attempt of a pod."""
    return str(pod["metadata"]["uid"]).replace("-", "")


class StageLogs:
    """The logs of one stage."""

    def __init__(self, client: Client, store: ObjectStore, stage: Stage) -> None:
        self.client, self.store, self.stage = client, store, stage

    def all(self) -> Iterator[str]:
        """Yield the lines of every attempt so far, the earliest first, each below a line that names it."""
        for number, attempt in enumerate(self._attempts(), 1):
            yield self._header(number, attempt)
            yield from self._lines(attempt)

    def follow(self, is_final: Callable[[], bool], explain: Callable[[], str]) -> Iterator[str]:
        """Yield the lines of `all`, and further lines until `is_final` returns true: no further attempt comes.

        `explain` returns what a stage without a running pod waits for; a line is added when that changes.
        """
        printed: set[str] = set()
        last_reason = ""
        while True:
            ended = (
                is_final()
            )  # before the attempts are read, so that what was written until then is among them
            attempts = self._attempts()
            fresh = [a for a in attempts if a.id not in printed and (a.stored or _has_log(a.pod))]
            for attempt in fresh:
                printed.add(attempt.id)
                yield self._header(len(printed), attempt)
            live = [a for a in fresh if a.pod is not None and _is_alive(a.pod)]
            for attempt in fresh:
                if attempt not in live:
                    yield from self._lines(attempt)
            if live:
                yield from self._follow(live)
                continue
            if ended:
                return
            reason = explain()
            if reason and reason != last_reason:
                yield f"--- waiting: {reason}"
                last_reason = reason
            time.sleep(POLL_SECONDS)

    def _attempts(self) -> list[Attempt]:
        """Return the attempts in the store, then those that only have a pod yet, each in order of time."""
        labels = f"{names.SHORT_KEY}={self.stage.key[:10]},{names.COMPONENT}=stage"
        pods = {attempt_of(p): p for p in self.client.list(PODS, labels=labels)}
        in_store = stored.attempts(self.store, self.stage.kind, self.stage.key)
        new = sorted(
            (p for i, p in pods.items() if i not in in_store),
            key=lambda p: str(p["metadata"].get("creationTimestamp")),
        )
        return [
            *(Attempt(i, pods.get(i), stored=True) for i in in_store),
            *(Attempt(attempt_of(p), p, stored=False) for p in new),
        ]

    def _header(self, number: int, attempt: Attempt) -> str:
        if attempt.pod is None:
            return f"--- attempt {number} (its pod is gone; from the store)"
        pod = attempt.pod
        index = pod["metadata"].get("annotations", {}).get(INDEX)
        part = f", part {index}" if index is not None else ""
        end = explain_pod_end(pod)
        ended = f": {end.text}" if end else ""
        return f"--- attempt {number}{part}, pod {pod['metadata']['name']} on {pod['spec'].get('nodeName', 'no node')}{ended}"

    def _lines(self, attempt: Attempt) -> Iterator[str]:
        """Yield the lines of an attempt that has ended, or as far as it has come."""
        if attempt.pod is not None and _has_log(attempt.pod):
            try:
                yield from self.client.logs(attempt.pod["metadata"]["name"], container=names.STAGE_CONTAINER)
            except ApiError as error:
                if not attempt.stored:
                    yield f"(no log: {error.detail})"
                    return
            else:
                return
        yield from stored.attempt_lines(self.store, self.stage.kind, self.stage.key, attempt.id)

    def _follow(self, live: list[Attempt]) -> Iterator[str]:
        """Yield lines of pods as they come; of several pods, each line begins with the number of its pod."""
        if len(live) == 1:
            yield from self._follow_one(live[0])
            return
        lines: queue.Queue[str | BaseException | None] = queue.Queue(maxsize=1000)

        def read(attempt: Attempt) -> None:
            assert attempt.pod is not None
            index = attempt.pod["metadata"].get("annotations", {}).get(INDEX, attempt.id[:6])
            try:
                for line in self._follow_one(attempt):
                    lines.put(f"[{index}] {line}")
                lines.put(None)
            except BaseException as error:  # noqa: BLE001  raised again where it is read
                lines.put(error)

        for attempt in live:
            threading.Thread(target=read, args=(attempt,), name=f"log {attempt.id[:6]}", daemon=True).start()
        running = len(live)
        while running:
            line = lines.get()
            if isinstance(line, BaseException):
                raise line
            if line is None:
                running -= 1
            else:
                yield line

    def _follow_one(self, attempt: Attempt) -> Iterator[str]:
        """Yield lines of a pod until its end; from the store, where its log cannot be read or the pod goes away."""
        assert attempt.pod is not None
        name, read = attempt.pod["metadata"]["name"], 0
        last: deque[str] = deque(maxlen=OVERLAP)
        while True:
            try:
                lines = self.client.logs(name, container=names.STAGE_CONTAINER, follow=True)
                for line in islice(lines, read, None):  # after a broken connection, what was read comes again
                    read += 1
                    last.append(line)
                    yield line
            except ApiError:  # the pod is gone, or the API server does not reach its node
                yield from self._follow_stored(attempt, list(last))
                return
            except Unreachable:
                time.sleep(POLL_SECONDS)
                continue
            if self._exists(attempt, alive=True):  # a proxy closed the connection, or its end is not seen yet
                time.sleep(POLL_SECONDS)
                continue
            if not self._exists(attempt):
                yield from self._follow_stored(attempt, list(last))
            return

    def _follow_stored(self, attempt: Attempt, known: list[str]) -> Iterator[str]:
        """Yield what the store has after the lines `known`, and what is added until the pod has ended."""
        assert attempt.pod is not None
        printed = 0
        while True:
            alive = self._exists(
                attempt, alive=True
            )  # before the store is read, which then has all until its end
            lines = list(stored.attempt_lines(self.store, self.stage.kind, self.stage.key, attempt.id))
            rest = lines_after(lines, known)
            yield from rest[printed:]
            printed = len(rest)
            if not alive:
                return
            time.sleep(POLL_SECONDS)

    def _exists(self, attempt: Attempt, *, alive: bool = False) -> bool:
        """Return true if the pod of an attempt still exists and, if so asked, has not ended."""
        assert attempt.pod is not None
        pod = self.client.get(PODS, attempt.pod["metadata"]["name"])
        return pod is not None and attempt_of(pod) == attempt.id and (not alive or _is_alive(pod))


def lines_after(lines: list[str], known: list[str]) -> list[str]:
    """Return the lines that follow `known` in `lines`; all of them, if none of `known` is there.

    The first of `known` may be missing from `lines`, because the boot script's lines are not in the store, and the last
    of them, because a pod that was killed had not stored them yet.
    """
    for length in range(len(known), 0, -1):
        tail = known[:length]
        for end in range(len(lines), 0, -1):
            most = min(end, length)
            if lines[end - most : end] == tail[-most:]:
                return lines[end:]
    return lines


def _has_log(pod: Dict | None) -> bool:
    """Return true if the stage's container has started once."""
    if pod is None:
        return False
    found = pod.get("status", {})
    for status in found.get("containerStatuses", ()):
        if status["name"] == names.STAGE_CONTAINER:
            return "waiting" not in status.get("state", {})
    return found.get("phase") in ("Running", "Succeeded", "Failed")  # a node that reports no containers


def _is_alive(pod: Dict) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
