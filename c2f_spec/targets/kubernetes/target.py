"""A cluster as a target: Jobs run, a watch sees them, and the store says what is done and what failed.

What is kept here is a copy of what the server and the store say and nothing else: it may be dropped at any time, and is
made again by a LIST and a listing. `wait` returns when something changed, or when it is time to look at everything.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import Unreachable
from c2f_spec.store import records
from c2f_spec.targets.base import State, Status
from c2f_spec.targets.kubernetes import bulk_apply
from c2f_spec.targets.kubernetes.client import JOBS, PODS
from c2f_spec.targets.kubernetes.errors import ApiError, Warned
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.stage import prepare, with_digest
from c2f_spec.targets.kubernetes.watch import Mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client


@dataclass(slots=True)
class StoreState:
    """What the store says of the stages of a plan: all of it by `standing`, one of them again by `look`."""

    done: set[str] = field(default_factory=set)
    """Keys with a record."""
    failures: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)

    def failed(self, key: str) -> bool:
        """More failures than forgiven ones."""
        return self.failures[key] > self.retries[key]

    def refresh(self, store: ObjectStore, stage: Stage) -> None:
        """Ask the store about one stage."""
        if store.exists(records.record_name(stage.kind, stage.key)):
            self.done.add(stage.key)
            return
        for name, counts in (("failures", self.failures), ("retries", self.retries)):
            counts[stage.key] = sum(1 for _ in store.names(f"{name}/{stage.kind}/{stage.key}"))


def load_store_state(store: ObjectStore, stages: Iterable[Stage]) -> StoreState:
    """Look everything up."""
    stages = list(stages)
    kinds = sorted({stage.kind for stage in stages})
    done = {n.rsplit("/", 1)[1].removesuffix(".json") for k in kinds for n in store.names(f"records/{k}")}
    return StoreState(
        done & {stage.key for stage in stages},
        _counts(store, "failures", kinds),
        _counts(store, "retries", kinds),
    )


def _counts(store: ObjectStore, folder: str, kinds: list[str]) -> Counter[str]:
    return Counter(name.split("/")[2] for kind in kinds for name in store.names(f"{folder}/{kind}"))


RESYNC_SECONDS = 300.0
"""How often everything is looked at again although nobody said that it changed."""
GATHER_SECONDS = 0.2
"""Changes come in swarms: those of so long are one."""
STAGES = f"{bulk_apply.OURS},app.kubernetes.io/component=stage"


class JobState(NamedTuple):
    """What we keep of a Job."""

    uid: str
    key: str
    """Of the stage."""
    ended: str = ""
    """`Complete` or `Failed`."""
    condition: dict[str, Any] | None = None
    """Of its end."""
    deleting: bool = False
    """It is being deleted."""
    has_ttl: bool = False
    """It goes by itself after a time."""
    failed_pods: int = 0
    """Pods of it that failed so far."""


@dataclass(frozen=True, slots=True)
class Request:
    """The objects of one stage as they are sent; the Job is last."""

    stage: Stage
    objects: tuple[dict[str, Any], ...]

    @property
    def job(self) -> str:
        return str(self.objects[-1]["metadata"]["name"])

    def __str__(self) -> str:
        from c2f_spec.targets.kubernetes.manifests.yaml_text import emit

        return emit([*self.objects])


class Kubernetes:
    """Runs the stages of one plan as Jobs.

    `guard` is called before every write, `admit` before new Jobs are made; they raise if we may not.
    """

    def __init__(
        self,
        store: ObjectStore,
        client: Client,
        plan: Plan,
        *,
        guard: Callable[[], None] = lambda: None,
        admit: Callable[[], None] = lambda: None,
        resync: float = RESYNC_SECONDS,
    ) -> None:
        self.store, self.client, self.plan, self.resync = store, client, plan, resync
        self.guard, self._admit = guard, admit
        self.changed = threading.Event()
        self.store_state = StoreState()
        self._starts = {stage.name for stage in plan.stages}
        self._jobs = Mirror(client, JOBS, labels=STAGES, keep=self._job_state, changed=self.changed.set)
        self._refreshed = 0.0

    @property
    def jobs(self) -> dict[str, JobState]:
        """The Jobs of this plan's stages, by name."""
        return self._jobs.items

    def open(self) -> None:
        """Look at the cluster and at the store, and go on watching. Raises `Unreachable`."""
        self._jobs.start()
        self.refresh()

    def load(self) -> None:
        """Look at the cluster and at the store once."""
        self._jobs.load()
        self.refresh()

    def close(self) -> None:
        self._jobs.stop()

    def refresh(self) -> None:
        """Ask the store about everything."""
        self.store_state, self._refreshed = load_store_state(self.store, self.plan.stages), time.monotonic()

    def wait(self) -> None:
        """Until something changed, or it is time to look at everything again. Raises what ended the watch."""
        if self.changed.wait(max(0.0, self._refreshed + self.resync - time.monotonic())):
            time.sleep(GATHER_SECONDS)
        self.changed.clear()
        self._jobs.check()
        if time.monotonic() - self._refreshed >= self.resync:
            self.refresh()

    def prepare(self, plan: Plan, stage: Stage) -> Request:
        """The stage's objects, for as often as it was forgiven a failure."""
        retries = self.store_state.retries[stage.key]
        avoid = records.faulty_nodes(self.store, stage.kind, stage.key) if retries else ()
        made = prepare(plan, stage, retries=retries, avoid=avoid)
        return Request(stage, tuple(map(_lasting, made)))

    def room(self, stage: Stage, beside: Sequence[Stage]) -> bool:  # noqa: ARG002
        """How many run at once is the business of quotas and queues."""
        return True

    def submit(self, *requests: Request) -> None:
        """Create what is not there, stages side by side. Raises `Rejected` or `Warned` with the field."""
        wanted = [r for r in requests if not self._current_job(r.stage) and not self._done(r.stage)]
        if not wanted:
            return
        self.guard()
        self._admit()
        for request in wanted:
            # Before the watch has brought the Job, it is known to be coming.
            self.jobs.setdefault(request.job, JobState("", request.stage.key))
        try:
            bulk_apply.apply_all(self.client, [r.objects for r in wanted], before=self.guard)
        except Warned as warned:
            # Its pods are refused for ever, as like as not: no Job is better than one that waits in vain.
            made = warned.body["metadata"]
            self.client.delete(JOBS, made["name"], uid=made["uid"])
            raise

    def state(self, stage: Stage) -> Status:
        """A record means done, whoever made it. The store is asked when the stage's Job has ended."""
        if stage.key in self.store_state.done:
            return Status(State.DONE)
        held = self._current_job(stage)
        if held is not None and (not held.ended or held.deleting):
            return Status(State.RUNNING)
        if held is None and self._leaving(stage):
            return Status(State.RUNNING, "its former pods save and go")
        if held is not None:
            self.store_state.refresh(self.store, stage)
            if stage.key in self.store_state.done:
                return Status(State.DONE)
        if self.store_state.failed(stage.key):
            last = records.read_failures(self.store, stage.kind, stage.key)[-1]
            return Status(State.FAILED, str(last.get("message", "")))
        if held is not None and self._current_job(stage) is not None:
            return Status(State.RUNNING, "ended; the driver has not yet written down why")
        return Status(State.ABSENT)

    def logs(self, stage: Stage) -> Iterator[str]:
        """Of the pods that are there, the oldest first; what the store keeps is read by `logs` of the command."""
        pods = list(self.client.list(PODS, labels=f"{names.SHORT_KEY}={stage.key[:10]}"))
        for pod in sorted(pods, key=lambda p: str(p["metadata"].get("creationTimestamp"))):
            yield f"--- attempt {pod['metadata']['name']}"
            try:
                yield from self.client.logs(pod["metadata"]["name"], container=names.STAGE_CONTAINER)
            except ApiError as error:
                yield f"(no log: {error.detail})"

    def cancel(self, stage: Stage) -> None:
        held = [name for name, job in list(self.jobs.items()) if job.key == stage.key and not job.ended]
        for name in held:
            self.guard()
            self.client.delete(JOBS, name)
        while any(self._runs(name) for name in held):
            time.sleep(0.5)
        for name in held:
            self.jobs.pop(name, None)

    def _done(self, stage: Stage) -> bool:
        """Asks the store, and looks again soon if somebody elsewhere was faster."""
        done = self.store.exists(records.record_name(stage.kind, stage.key))
        if done:
            self.store_state.done.add(stage.key)
            self.changed.set()
        return done

    def _current_job(self, stage: Stage) -> JobState | None:
        """The Job of a stage's present attempt. Raises `Unreachable` if its name is another stage's."""
        name = names.job_name(stage, self.store_state.retries[stage.key])
        held = self.jobs.get(name)
        if held is not None and held.key != stage.key:
            raise Unreachable(
                f"the Job {name} belongs to another stage, {held.key}",
                hint="the keys of both begin alike: remove that Job when it has ended",
            )
        return held

    def _leaving(self, stage: Stage) -> bool:
        """Its Job before this one is removed, and pods of it may still write."""
        retries = self.store_state.retries[stage.key]
        former = self.jobs.get(names.job_name(stage, retries - 1)) if retries else None
        return former is not None and former.deleting

    def _runs(self, job: str) -> bool:
        return any(
            True
            for _ in self.client.list(PODS, labels=f"batch.kubernetes.io/job-name={job}", metadata_only=True)
        )

    def _job_state(self, job: dict[str, Any]) -> JobState | None:
        metadata = job["metadata"]
        key = (metadata.get("annotations") or {}).get(names.KEY, "")
        if metadata["name"].rpartition("-r")[0] not in self._starts:
            return None
        conditions = (job.get("status") or {}).get("conditions") or ()
        ends = [c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"]
        return JobState(
            metadata["uid"],
            key,
            ends[0]["type"] if ends else "",
            ends[0] if ends else None,
            deleting="deletionTimestamp" in metadata,
            has_ttl=job["spec"].get("ttlSecondsAfterFinished") is not None,
            failed_pods=int((job.get("status") or {}).get("failed") or 0),
        )


def _lasting(item: dict[str, Any]) -> dict[str, Any]:
    """A Job without its time to live: `settle.py` gives it one when its outcome is stored, and not before."""
    if item["kind"] != "Job" or "ttlSecondsAfterFinished" not in item["spec"]:
        return item
    spec = {k: v for k, v in item["spec"].items() if k != "ttlSecondsAfterFinished"}
    annotations = {k: v for k, v in item["metadata"]["annotations"].items() if k != names.DIGEST}
    return with_digest({**item, "spec": spec, "metadata": {**item["metadata"], "annotations": annotations}})
