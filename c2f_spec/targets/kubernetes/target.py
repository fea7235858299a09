"""The cluster as a target: Jobs run, a watch follows them, and the store says what is done and what failed.

`Kubernetes` keeps a copy of what the server and the store say, and nothing else: it may be dropped at any time, and is
made again by a LIST and a listing. `wait` returns when something changed, or when it is time to refresh everything.
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
from c2f_spec.targets.kubernetes.status.termination import end_condition
from c2f_spec.targets.kubernetes.watch import Mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client

RESYNC_SECONDS = 300.0
"""How often everything is refreshed although no change was reported."""
GATHER_SECONDS = 0.2
"""Changes come in swarms: those within this time are handled together."""


@dataclass(slots=True)
class StoreState:
    """The state of a plan's stages in the store."""

    done: set[str] = field(default_factory=set)
    """Keys with a record."""
    failures: Counter[str] = field(default_factory=Counter)
    """Number of failures by key."""
    retries: Counter[str] = field(default_factory=Counter)
    """Number of retries that were requested, by key."""

    def failed(self, key: str) -> bool:
        """Return true if more failures than retries are stored."""
        return self.failures[key] > self.retries[key]

    def refresh(self, store: ObjectStore, stage: Stage) -> None:
        """Read the state of one stage again."""
        if store.exists(records.record_name(stage.kind, stage.key)):
            self.done.add(stage.key)
            return
        for name, counts in (("failures", self.failures), ("retries", self.retries)):
            counts[stage.key] = sum(1 for _ in store.names(f"{name}/{stage.kind}/{stage.key}"))


def load_store_state(store: ObjectStore, stages: Iterable[Stage]) -> StoreState:
    """Read the state of all stages, by a few listings."""
    stages = list(stages)
    kinds = sorted({stage.kind for stage in stages})
    done = {n.rsplit("/", 1)[1].removesuffix(".json") for k in kinds for n in store.names(f"records/{k}")}
    failures, retries = (
        Counter(name.split("/")[2] for kind in kinds for name in store.names(f"{folder}/{kind}"))
        for folder in ("failures", "retries")
    )
    return StoreState(done & {stage.key for stage in stages}, failures, retries)


class JobState(NamedTuple):
    """State of a Job, as far as the driver needs it."""

    uid: str
    key: str
    """Key of its stage."""
    ended: str = ""
    """`Complete` or `Failed`; empty for a Job that has not ended."""
    condition: dict[str, Any] | None = None
    """The condition of its end."""
    deleting: bool = False
    """It is being deleted."""
    has_ttl: bool = False
    """The server deletes it after a time."""
    failed_pods: int = 0
    """Number of its pods that failed so far."""


@dataclass(frozen=True, slots=True)
class Request:
    """The objects of one stage as they are sent; the Job is last."""

    stage: Stage
    objects: tuple[dict[str, Any], ...]

    @property
    def job(self) -> str:
        return str(self.objects[-1]["metadata"]["name"])

    def __str__(self) -> str:
        from c2f_spec.language.yaml_writer import render_manifests

        return render_manifests([*self.objects])


class Kubernetes:
    """Runs the stages of one plan as Jobs.

    `guard` is called before every write, `admit` before new Jobs are created; they raise if this process may not.
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
        self._stage_names = {stage.name for stage in plan.stages}
        self._jobs = Mirror(client, JOBS, labels=names.STAGES, keep=self._job_state, changed=self.changed.set)
        self._refreshed = 0.0

    @property
    def jobs(self) -> dict[str, JobState]:
        """The Jobs of this plan's stages, by name."""
        return self._jobs.items

    def open(self) -> None:
        """Read the cluster and the store, and go on watching the cluster. Raise `Unreachable`."""
        self._jobs.start()
        self.refresh()

    def load(self) -> None:
        """Read the cluster and the store, without watching. Raise `Unreachable`."""
        self._jobs.load()
        self.refresh()

    def close(self) -> None:
        self._jobs.stop()

    def refresh(self) -> None:
        """Read the state of every stage from the store."""
        self.store_state, self._refreshed = load_store_state(self.store, self.plan.stages), time.monotonic()

    def wait(self) -> None:
        """Wait until something changed, or it is time to refresh everything. Raise what ended the watch."""
        if self.changed.wait(max(0.0, self._refreshed + self.resync - time.monotonic())):
            time.sleep(GATHER_SECONDS)
        self.changed.clear()
        self._jobs.check()
        if time.monotonic() - self._refreshed >= self.resync:
            self.refresh()

    def prepare(self, plan: Plan, stage: Stage) -> Request:
        """Return the stage's objects for its next attempt, which avoids nodes whose hardware failed."""
        retries = self.store_state.retries[stage.key]
        avoid = records.faulty_nodes(self.store, stage.kind, stage.key) if retries else ()
        objects = prepare(plan, stage, retries=retries, avoid=avoid)
        return Request(stage, tuple(map(_without_ttl, objects)))

    def has_room(self, stage: Stage, beside: Sequence[Stage]) -> bool:  # noqa: ARG002
        """Return true: quotas and queues decide how many stages run at once."""
        return True

    def submit(self, *requests: Request) -> None:
        """Create what does not exist, stages side by side. Raise `Rejected` or `Warned` with the field."""
        missing = [r for r in requests if not self._current_job(r.stage) and not self._is_done(r.stage)]
        if not missing:
            return
        self.guard()
        self._admit()
        for request in missing:
            # Before the watch has brought the Job, it is known to be coming.
            self.jobs.setdefault(request.job, JobState("", request.stage.key))
        try:
            bulk_apply.apply_all(self.client, [r.objects for r in missing], before=self.guard)
        except Warned as warned:
            # Its pods are likely to be refused for ever: no Job is better than a Job that waits in vain.
            created = warned.body["metadata"]
            self.client.delete(JOBS, created["name"], uid=created["uid"])
            raise

    def state(self, stage: Stage) -> Status:
        """Return the state; a record means done, whoever made it. The store is read when the stage's Job has ended."""
        if stage.key in self.store_state.done:
            return Status(State.DONE)
        job = self._current_job(stage)
        if job is not None and (not job.ended or job.deleting):
            return Status(State.RUNNING)
        if job is None and self._is_former_job_deleting(stage):
            return Status(State.RUNNING, "pods of its former Job are saving")
        if job is not None:
            self.store_state.refresh(self.store, stage)
            if stage.key in self.store_state.done:
                return Status(State.DONE)
        if self.store_state.failed(stage.key):
            last = records.read_failures(self.store, stage.kind, stage.key)[-1]
            return Status(State.FAILED, str(last.get("message", "")))
        if job is not None and self._current_job(stage) is not None:
            return Status(State.RUNNING, "ended; the driver has not yet recorded the outcome")
        return Status(State.ABSENT)

    def logs(self, stage: Stage) -> Iterator[str]:
        """Yield the logs of the pods that exist, the oldest first; `control.py` also reads logs in the store."""
        pods = list(self.client.list(PODS, labels=f"{names.SHORT_KEY}={stage.key[:10]}"))
        for pod in sorted(pods, key=lambda p: str(p["metadata"].get("creationTimestamp"))):
            yield f"--- attempt {pod['metadata']['name']}"
            try:
                yield from self.client.logs(pod["metadata"]["name"], container=names.STAGE_CONTAINER)
            except ApiError as error:
                yield f"(no log: {error.detail})"

    def cancel(self, stage: Stage) -> None:
        jobs = [name for name, job in list(self.jobs.items()) if job.key == stage.key and not job.ended]
        for name in jobs:
            self.guard()
            self.client.delete(JOBS, name)
        while any(self._has_pods(name) for name in jobs):
            time.sleep(0.5)
        for name in jobs:
            self.jobs.pop(name, None)

    def _is_done(self, stage: Stage) -> bool:
        """Read the store, and refresh soon if another process was faster."""
        done = self.store.exists(records.record_name(stage.kind, stage.key))
        if done:
            self.store_state.done.add(stage.key)
            self.changed.set()
        return done

    def _current_job(self, stage: Stage) -> JobState | None:
        """Return the Job of a stage's present attempt. Raise `Unreachable` if its name is another stage's."""
        name = names.job_name(stage, self.store_state.retries[stage.key])
        job = self.jobs.get(name)
        if job is not None and job.key != stage.key:
            raise Unreachable(
                f"duplicate name: the Job {name} belongs to another stage, {job.key}",
                hint="delete that Job when it has ended: the keys of both begin alike",
            )
        return job

    def _is_former_job_deleting(self, stage: Stage) -> bool:
        """Return true if the Job of the attempt before is being deleted, so that its pods may still write."""
        retries = self.store_state.retries[stage.key]
        former = self.jobs.get(names.job_name(stage, retries - 1)) if retries else None
        return former is not None and former.deleting

    def _has_pods(self, job: str) -> bool:
        return any(self.client.list(PODS, labels=f"{names.JOB_NAME}={job}", metadata_only=True))

    def _job_state(self, job: dict[str, Any]) -> JobState | None:
        metadata = job["metadata"]
        if metadata["name"].rpartition("-r")[0] not in self._stage_names:
            return None
        condition = end_condition(job)
        return JobState(
            metadata["uid"],
            (metadata.get("annotations") or {}).get(names.KEY, ""),
            condition["type"] if condition else "",
            condition,
            deleting="deletionTimestamp" in metadata,
            has_ttl=job["spec"].get("ttlSecondsAfterFinished") is not None,
            failed_pods=int((job.get("status") or {}).get("failed") or 0),
        )


def _without_ttl(item: dict[str, Any]) -> dict[str, Any]:
    """Return a Job without its time to live, which `outcomes.py` sets when the outcome is stored, and not before."""
    if item["kind"] != "Job" or "ttlSecondsAfterFinished" not in item["spec"]:
        return item
    spec = {k: v for k, v in item["spec"].items() if k != "ttlSecondsAfterFinished"}
    annotations = {k: v for k, v in item["metadata"]["annotations"].items() if k != names.DIGEST}
    return with_digest({**item, "spec": spec, "metadata": {**item["metadata"], "annotations": annotations}})
