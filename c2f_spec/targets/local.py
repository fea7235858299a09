"""The target on this machine: a child process a stage.

The child (`python -m runtime stage.json`) holds an exclusive lock on a file of its key for as long as it lives. So a
second `apply` sees what a first one started, even when the first was killed, and follows it; and no lock is left over
when a process dies, whichever way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.errors import MEANING, StageExit, Unreachable, UsageError
from c2f_spec.keys import TRAINING
from c2f_spec.plan import model
from c2f_spec.spec.grpo import Grpo
from c2f_spec.spec.handoff import Input, StageFile
from c2f_spec.spec.resources import resolve_zero
from c2f_spec.spec.sections import Sft
from c2f_spec.store import leases, records
from c2f_spec.store.machine import is_locked, work_folder
from c2f_spec.store.stage_logs import read_log
from c2f_spec.targets.base import State, Status
from c2f_spec.targets.gpus import Gpus, visible_gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.plan.verify import Evidence
    from c2f_spec.spec.environment import LocalEnvironment
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Backend
    from c2f_spec.targets.gpus import GpuSet


LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  names of this machine, nothing is bound
LAUNCH_LOG = "launch.log"
"""File on this machine with the output of a stage's first process outside its log."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command line, its environment and the stage file."""

    stage: Stage
    file: StageFile
    argv: tuple[str, ...]
    env: dict[str, str]

    def __str__(self) -> str:
        settings = " ".join(f"{k}={v}" for k, v in sorted(self.env.items()))
        return f"{settings} {' '.join(self.argv)}"


class Local:
    """Runs stages as processes of the user."""

    def __init__(self, store: ObjectStore, *, slots: int) -> None:
        self.store, self.slots = store, slots
        self._gpus = Gpus()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._watch = leases.LeaseWatch(store)

    def prepare(self, plan: Plan, stage: Stage) -> Request:
        work = self._work(stage)
        gpus = gpus_needed(stage, len(self._gpus.names))
        file = StageFile(
            kind=stage.kind,
            key=stage.key,
            name=stage.name,
            preimage=stage.preimage,
            placement=stage.placement.model_copy(update={"gpus": gpus, **_training_layout(stage, gpus)}),
            inputs={role: Input(kind=plan.stage(key).kind, key=key) for role, key in stage.inputs.items()},
            store=self.store.url,
            scratch=str(work / "scratch"),
        )
        argv = (sys.executable, "-m", "runtime", str(work / "stage.json"), "--lock", str(work / "lock"))
        env = {
            "OMP_NUM_THREADS": str(stage.placement.threads),
            "PYTHONUNBUFFERED": "1",
            **({model.ORIGIN_VARIABLE: model.origin_digest(plan.origin)} if plan.origin else {}),
        }
        return Request(stage, file, argv, env)

    def has_room(self, stage: Stage, beside: Sequence[Stage]) -> bool:
        """Return whether a slot and the GPUs of the stage are free: GPUs are not shared."""
        if len(beside) >= self.slots:
            return False
        visible = len(self._gpus.names)
        wanted = gpus_needed(stage, visible)
        in_use = sum(gpus_needed(other, visible) + server_gpus(other) for other in beside)
        return wanted == 0 or (
            wanted + server_gpus(stage) <= visible - in_use and wanted <= self._gpus.free()
        )

    def submit(self, *requests: Request) -> None:
        for request in requests:
            self._start(request)

    def _start(self, request: Request) -> None:
        stage = request.stage
        if self.state(stage).state in (State.RUNNING, State.DONE):
            return
        gpus = self._gpus.take(request.file.placement.gpus)
        if gpus is None:
            return  # another `apply` took them; the loop submits it again
        with contextlib.closing(gpus):
            self._spawn(request, gpus)

    def _spawn(self, request: Request, gpus: GpuSet) -> None:
        """Start the first process of a stage, which inherits the locks on its GPUs."""
        stage = request.stage
        progress = f"{records.work_name(stage.kind, stage.key)}/progress.json"
        self.store.replace(progress, b"null")  # progress of an earlier attempt
        work = self._work(stage)
        try:
            work.mkdir(parents=True, exist_ok=True)
            (work / "stage.json").write_text(request.file.model_dump_json(indent=1))
        except OSError as error:
            raise Unreachable(
                f"cannot write in {work}: {error.strerror}", hint="is the disk full?"
            ) from error
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus.names)} if self._gpus.names else {}
        # The supervisor writes the log to the store; this is for one that cannot even start.
        with (work / LAUNCH_LOG).open("wb") as trouble:
            # Its own session: Ctrl-C in the terminal reaches `apply` alone, which then asks its stages to save.
            self._children[stage.key] = subprocess.Popen(
                request.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=trouble,
                env={**os.environ, **request.env, **visible, "PYTHONPATH": _python_path()},
                pass_fds=gpus.locks,
                start_new_session=True,
            )

    def state(self, stage: Stage) -> Status:
        if records.read_record(self.store, stage.kind, stage.key) is not None:
            self._reap(stage)
            return Status(State.DONE)
        child = self._children.get(stage.key)
        if (child is not None and child.poll() is None) or self.is_locked(stage) or self._elsewhere(stage):
            return Status(State.RUNNING)
        if child is not None:
            # It may have committed since the record was read.
            done = records.read_record(self.store, stage.kind, stage.key) is not None
            return Status(State.DONE) if done else Status(State.FAILED, _describe_exit(child.returncode))
        if records.is_failed(self.store, stage.kind, stage.key):
            last = records.read_failures(self.store, stage.kind, stage.key)[-1]
            return Status(State.FAILED, str(last.get("message", "")))
        return Status(State.ABSENT)

    def logs(self, stage: Stage) -> Iterator[str]:
        yield from read_log(self.store, stage.kind, stage.key)
        trouble = self._work(stage) / LAUNCH_LOG
        if trouble.is_file():
            yield from trouble.read_text(errors="replace").splitlines()

    def cancel(self, stage: Stage) -> None:
        child = self._children.get(stage.key)
        if child is not None:
            child.terminate()
            child.wait()
            del self._children[stage.key]
            return
        holder = self._holder(stage)  # started by another `apply`
        if holder is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder, signal.SIGTERM)
            while self._holder(stage) == holder:
                time.sleep(0.05)

    def _work(self, stage: Stage) -> Path:
        return work_folder(self.store, stage.kind, stage.key)

    def _lock(self, stage: Stage) -> Path:
        return self._work(stage) / "lock"

    def is_locked(self, stage: Stage) -> bool:
        """Return whether a process of this machine works on the stage, if only to store the end of its log."""
        path = self._lock(stage)
        try:
            return is_locked(path)
        except OSError as error:
            raise Unreachable(f"cannot read the lock {path}: {error.strerror}") from error

    def _elsewhere(self, stage: Stage) -> bool:
        """Return whether another machine may run the stage; not in a store that only this machine has."""
        if self.store.local(stage.key) is not None:
            return False
        return self._watch.alive(leases.lease_name(stage.kind, stage.key))

    def _holder(self, stage: Stage) -> int | None:
        """Return the id of the process that holds the lock of a stage."""
        if not self.is_locked(stage):
            return None
        text = self._lock(stage).read_text().strip()
        return int(text) if text.isdigit() else None

    def _reap(self, stage: Stage) -> None:
        """Wait for the process of a committed stage, which ends within moments."""
        child = self._children.pop(stage.key, None)
        if child is not None:
            child.wait()


def gpus_needed(stage: Stage, visible: int) -> int:
    """Return how many of the `visible` GPUs a stage uses: what the spec says, else all for training and a teacher, one for answers."""
    if _trains(stage):
        left = max(0, visible - server_gpus(stage))
        return _even_share(stage, min(left, stage.placement.gpus or left))
    if stage.kind == "distil":
        served = stage.placement.endpoint
        own = served is not None and served.url is None
        alone = stage.preimage["spec"]["teacher"]["kind"] == "transformers"
        return min(visible, served.tensor_parallel if served and own else visible if alone else 0)
    if stage.kind != "evaluate" or "import" in stage.preimage["spec"]:
        return 0
    vllm = stage.placement.vllm
    return min(visible, vllm.tensor_parallel if vllm else 1)


def server_gpus(stage: Stage) -> int:
    """Return how many GPUs, the last ones, a server of vLLM on this machine has (METHOD 8.4)."""
    vllm = stage.placement.vllm
    here = vllm is not None and vllm.mode == "server" and urlsplit(vllm.url or "").hostname in LOCAL_HOSTS
    return vllm.tensor_parallel if vllm and here else 0


def _even_share(stage: Stage, gpus: int) -> int:
    """Return the most of the `gpus` that share the rows of a step evenly (in GRPO: answers)."""
    if not gpus:
        return 0
    section = stage.preimage["spec"].get(stage.kind, {})
    if stage.kind == "sft":
        rows = Sft.model_validate(section).batch
    else:
        grpo = Grpo.model_validate(section)
        rows = grpo.batch * grpo.generations
    return next(n for n in range(gpus, 0, -1) if rows % n == 0)


def _training_layout(stage: Stage, gpus: int) -> dict[str, Any]:
    """Return how training uses its GPUs, as fields of a placement: a process each, and the ZeRO stage."""
    if not _trains(stage):
        return {"processes": 1}
    lora = stage.preimage["spec"].get(stage.kind, {}).get("tuner", {}).get("kind") == "lora"
    processes = max(1, gpus)
    zero = resolve_zero(stage.placement.zero, lora=lora, processes=processes)
    return {"processes": processes, "zero": zero}


def _trains(stage: Stage) -> bool:
    return stage.kind in TRAINING


def _python_path() -> str:
    """The child must import the `runtime` that was planned, wherever `apply` was started."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def _describe_exit(code: int) -> str:
    """Return the meaning of the exit code of a stage."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return MEANING[StageExit(code)] if code in set(StageExit) else f"ended with code {code}"


POLL_SECONDS = 0.5


class LocalControl:
    """Controls running stages over the same store and locks as the target."""

    def __init__(self, target: Local) -> None:
        self.target = target

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        states = {stage.key: self.target.state(stage) for stage in stages}
        return {key: status for key, status in states.items() if status.state is State.RUNNING}

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        printed = 0
        while True:
            running = self.target.is_locked(stage)  # before the read, so that no line is missed
            lines = list(self.target.logs(stage))
            yield from lines[printed:]
            printed = len(lines)
            if not (follow and running):
                return
            time.sleep(POLL_SECONDS)

    def plans_that_need(self, plan: Plan) -> dict[str, tuple[str, ...]]:  # noqa: ARG002
        return {}  # another `apply` that follows a stage starts it again if it ends without a result

    def withdraw(self, plan: Plan) -> None:
        """The `apply` of a terminal is its own driver: Ctrl-C ends it."""

    def cancel(self, stages: Sequence[Stage], report: Callable[[str], None]) -> None:
        for stage in stages:
            report(f"{stage.name} saves and stops")
            self.target.cancel(stage)

    def notify_retry(self, plan: Plan) -> None:
        """Do nothing: `apply` polls the store."""

    def deletable(self, plan: Plan, excluded: Iterable[str]) -> list[str]:  # noqa: ARG002
        return [f"process of {plan.stage(key).name}" for key in self.statuses(plan.stages)]

    def delete(self, plan: Plan, excluded: Iterable[str], report: Callable[[str], None]) -> list[str]:
        self.cancel([plan.stage(key) for key in self.statuses(plan.stages)], report)
        return self.deletable(plan, excluded)

    def shell(self, plan: Plan, stage: Stage) -> str:  # noqa: ARG002
        raise UsageError(
            "`shell` is for clusters: on this machine you are where the stages run",
            hint="`c2f-spec logs` says what a stage printed; its inputs are in the store",
        )


class LocalBackend:
    """The target of a local environment, for the registry (`targets/base.py`)."""

    renders_manifests = False
    has_driver = False

    def open_target(self, environment: LocalEnvironment, store: ObjectStore, plan: Plan) -> Local:  # noqa: ARG002
        return Local(store, slots=environment.parallel)

    def open_control(self, environment: LocalEnvironment, store: ObjectStore) -> LocalControl:
        return LocalControl(Local(store, slots=environment.parallel))

    def stage_file(self, plan: Plan, stage: Stage, store: ObjectStore) -> StageFile:
        return Local(store, slots=1).prepare(plan, stage).file

    def evidence(self, environment: LocalEnvironment, plan: Plan) -> dict[str, Evidence]:  # noqa: ARG002
        return {}

    def examine(self, environment: LocalEnvironment) -> Iterator[HealthCheck]:  # noqa: ARG002
        missing = [name for name in ("torch", "transformers", "trl", "av") if find_spec(name) is None]
        if missing:
            yield error(
                "runtime",
                f"{', '.join(missing)} cannot be imported",
                "pip install -c constraints.txt '.[runtime]'",
            )
        else:
            yield ok("runtime", "its packages are installed")
        gpus = len(visible_gpus())
        if gpus:
            yield ok("GPUs", str(gpus))
        else:
            yield warning(
                "GPUs", "none are visible: stages compute on processors", "for a toy that is enough"
            )


BACKEND: Backend = LocalBackend()
