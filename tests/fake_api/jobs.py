"""A Job controller, a scheduler and a kubelet in one thread: creates the pods of Jobs and ends them as a test says.

`run(pod)` is called in a thread of its own for each pod, does whatever the pod would do, and says how it ended. It may
look at `stopped` to see that the pod was deleted.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from c2f_spec.targets.kubernetes.client import JOBS, PODS
from tests.fake_api.objects import Refusal


@dataclass(frozen=True)
class Ending:
    """How a pod ended."""

    code: int
    reason: str = ""
    """`OOMKilled` or `Error`; `None` derives it from the code."""
    disrupted: bool = False
    """True if the node was drained: the pod has the condition `DisruptionTarget`."""


class JobController:
    """Use as a context manager around the part of a test in which Jobs run."""

    def __init__(self, state, run, *, nodes=("fake-node", "other-node"), backoff=0.0) -> None:
        self.state, self.run, self.nodes, self.backoff = state, run, nodes, backoff
        self.started = []
        """Names of Jobs in the order in which their first pod began."""
        self._known, self._stop = {}, threading.Event()
        self._threads = []
        self.errors = []
        """The exception of `run`, an error of the test, which is raised again at the end."""

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        with self.state.changed:
            self.state.changed.notify_all()
        for stopped in list(self._known.values()):
            stopped.set()
        self._thread.join()
        for thread in self._threads:
            thread.join(timeout=20)
        if self.errors:
            raise self.errors[0]

    def _loop(self):
        while not self._stop.is_set():
            with self.state.changed:
                jobs = self.state.all(JOBS)
                self._begin(jobs)
                self._forget(jobs)
                self.state.changed.wait(0.2)

    def _begin(self, jobs):
        for job in jobs:
            uid = job["metadata"]["uid"]
            if uid in self._known or finished(job) or job["spec"].get("suspend"):
                continue
            self._known[uid] = threading.Event()
            self.started.append(job["metadata"]["name"])
            thread = threading.Thread(target=self._job, args=(job, self._known[uid]), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _forget(self, jobs):
        """Stop the pods of deleted Jobs, and delete finished Jobs whose time to live is over."""
        left = {job["metadata"]["uid"] for job in jobs}
        for uid, stopped in self._known.items():
            if uid not in left:
                stopped.set()
        for job in jobs:
            ttl, end = job["spec"].get("ttlSecondsAfterFinished"), job.get("status", {}).get("completionTime")
            if ttl is not None and end and datetime.now(UTC).timestamp() > _seconds(end) + ttl:
                self.state.delete(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])

    def _job(self, job, stopped):
        spec = job["spec"]
        self._status(job, {"active": 1, "ready": 1, "startTime": _now()})
        indexes = range(spec.get("completions") or 1) if spec["completionMode"] == "Indexed" else [None]
        failed = 0
        for index in indexes:
            while True:
                ending = self._pod(job, index, failed, stopped)
                if stopped.is_set():
                    return
                action = "Complete" if ending.code == 0 else _action(spec.get("podFailurePolicy"), ending)
                if action == "Complete":
                    break
                if action == "FailJob":
                    self._finish(job, "Failed", "PodFailurePolicy", failed + 1)
                    return
                failed += action == "Count"
                self._status(job, {"failed": failed})
                stopped.wait(self.backoff)
                if failed > spec["backoffLimit"]:
                    self._finish(job, "Failed", "BackoffLimitExceeded", failed)
                    return
        self._finish(job, "Complete", "CompletionsReached", failed)

    def _pod(self, job, index, attempt, stopped):
        """Run one pod from its creation to its end."""
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        part = "" if index is None else f"-{index}"
        template = copy.deepcopy(job["spec"]["template"])
        labels = {**template["metadata"].get("labels", {})}
        if index is not None:
            labels["batch.kubernetes.io/job-completion-index"] = str(index)
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name,
            "uid": job["metadata"]["uid"],
            "controller": True,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{name}{part}-{uuid.uuid4().hex[:5]}",
                "labels": labels,
                "ownerReferences": [owner],
            },
            "spec": {**template["spec"], "nodeName": self._node(template["spec"])},
            "status": {"phase": "Running", "startTime": _now()},
        }
        with self.state.changed:
            if stopped.is_set() or (namespace, name) not in self.state.objects[JOBS]:
                stopped.set()  # no pod of a Job that was deleted a moment ago
                return Ending(0)
            pod = self.state.create(PODS, namespace, pod)
        try:
            ending = self.run(pod, stopped)
        except Exception as error:  # noqa: BLE001  told at the end, in the thread of the test
            self.errors.append(error)
            ending = Ending(70)
        reason = ending.reason or ("Completed" if ending.code == 0 else "Error")
        terminated = {"exitCode": ending.code, "reason": reason, "finishedAt": _now()}
        containers = [
            {"name": c["name"], "state": {"terminated": terminated}} for c in template["spec"]["containers"]
        ]
        status = {"phase": "Failed" if ending.code else "Succeeded", "containerStatuses": containers}
        if ending.disrupted:
            status["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
        with contextlib.suppress(Refusal):
            self.state.merge(PODS, namespace, pod["metadata"]["name"], {"status": status})
        return ending

    def _node(self, spec):
        """Return the first node that the pod's affinity does not refuse."""
        wanted = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution"
        ) or {}
        fields = [f for term in wanted.get("nodeSelectorTerms", ()) for f in term.get("matchFields", ())]
        refused = {
            v for f in fields if (f["key"], f["operator"]) == ("metadata.name", "NotIn") for v in f["values"]
        }
        return next(node for node in self.nodes if node not in refused)

    def _finish(self, job, kind, reason, failed):
        condition = {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": _now()}
        counts = {"failed": failed, "succeeded": int(kind == "Complete")}
        status = {"conditions": [condition], "active": 0, "ready": 0, "completionTime": _now(), **counts}
        self._status(job, status)

    def _status(self, job, status):
        with contextlib.suppress(Refusal):
            self.state.merge(JOBS, job["metadata"]["namespace"], job["metadata"]["name"], {"status": status})


def finished(job):
    """Return `Complete`, `Failed`, or nothing yet."""
    conditions = job.get("status", {}).get("conditions") or ()
    return next(
        (c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None
    )


def _action(policy, ending):
    """Return the action of a Job's podFailurePolicy for an ending; the first rule that matches decides."""
    for rule in (policy or {}).get("rules") or ():
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes and (ending.code in codes["values"]) == (codes["operator"] == "In"):
            return rule["action"]
        if conditions and ending.disrupted and any(c["type"] == "DisruptionTarget" for c in conditions):
            return rule["action"]
    return "Count"


def _now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(stamp):
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
