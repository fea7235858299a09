"""Training killed at random moments, and whether it ends in the bits of training that nobody disturbed.

A worker is forked from a process that has imported everything, so that a moment falls into training and not into the
import of torch; what it is killed by, and all it does, is real. `make faults` runs many.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.spec.handoff import Input, Placement, Record, StageFile
from c2f_spec.spec.resources import Checkpoints
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.open import open_store
from tests.support.faults import kill_all_in

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore

EVERY = 4
STEPS = {"sft": 32, "grpo": 20}
SECTIONS = {
    "sft": {"epochs": 8, "batch": 4, "learning_rate": 3e-3},
    "grpo": {
        "epochs": 5, "batch": 4, "generations": 2, "learning_rate": 1e-3, "max_new_tokens": 16,
        "hint": {"trigger": {"kind": "all_below", "threshold": 2.0}},
    },
}  # fmt: skip
LONGEST = 180.0
"""Seconds after which an attempt counts as hung."""


@dataclass(frozen=True)
class Kill:
    """One killed attempt, and what the next one made of it."""

    code: int
    reached: int
    """The last step whose metrics it wrote."""
    start: int
    """The step that it had started from."""
    resumed: int
    """The step that the next one went on from."""

    @property
    def redone(self) -> int:
        return max(0, self.reached - self.resumed)

    @property
    def allowed(self) -> int:
        """One interval, and what was trained while the upload of the newest checkpoint was under way."""
        offered = self.reached // EVERY * EVERY
        return self.reached - max(self.start, offered - EVERY)


@dataclass
class Cell:
    """What was found of one kind of training, signal and store."""

    kills: list[Kill] = field(default_factory=list)
    runs: int = 0
    identical: int = 0
    wrong: list[str] = field(default_factory=list)


class Stand:
    """A store with the inputs of the stages, and a folder to work in."""

    def __init__(self, folder: Path, store: str, inputs: dict[str, Path]) -> None:
        self.folder, self.store = folder, store
        self.objects: ObjectStore = open_store(store)
        self.inputs = {name: self._commit(name, path) for name, path in inputs.items()}

    def _commit(self, name: str, path: Path) -> Input:
        """A folder as the committed output of a stage."""
        copy = self.folder / f"input-{name}"
        shutil.copytree(path, copy)
        key = uuid.uuid4().hex * 2
        record = Record(
            kind="prepare", key=key, attempt="made", nonce=uuid.uuid4().hex, files=digest_folder(copy), summary={}, provenance={},
        )  # fmt: skip
        records.commit(self.objects, record, copy)
        return Input(kind="prepare", key=key)

    def stage(self, kind: str, tuner: str = "full", processes: int = 1, zero: str = "off") -> Path:
        """A stage file of its own key, so that it has no checkpoints yet."""
        key = uuid.uuid4().hex * 2
        second = {"filter": self.inputs["chains"]} if kind == "sft" else {"start": self.inputs["start"]}
        lora = {"tuner": {"kind": "lora", "rank": 4, "alpha": 8}} if tuner == "lora" else {}
        spec = {
            "seed": 3, "student": {"kind": "tiny", "hidden": 32, "layers": 1}, "format": {"kind": "c2f"},
            "media": {"fps": 2.0, "max_frames": 4, "max_pixels": 3136}, kind: SECTIONS[kind] | lora,
        }  # fmt: skip
        stage = StageFile(
            kind=kind, key=key, name=f"{kind}-{key[:10]}", preimage={"stage": kind, "spec": spec, "code": {}},
            placement=Placement(checkpoints=Checkpoints(every=EVERY), processes=processes, zero=zero),
            inputs={"prepare": self.inputs["prepare"], **second}, store=self.store, scratch=str(self.folder / key),
        )  # fmt: skip
        path = self.folder / f"{key}.json"
        path.write_text(stage.model_dump_json())
        return path


@dataclass(frozen=True)
class Attempt:
    """One that ended, or was ended."""

    code: int
    seconds: float
    log: str
    reached: int
    first: float = 0.0
    """Seconds until its first step."""

    @property
    def resumed(self) -> int:
        found = re.search(r": (?:resumed from step (\d+)|fresh start)", self.log)
        return int(found[1] or 0) if found else 0


@functools.cache
def workers():
    """Forked from a process that has paid for the imports."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runtime.process.worker", "runtime.stages.sft", "runtime.stages.grpo"])
    return context


def attempt(path: Path, number: int = signal.SIGKILL, after: float | None = None) -> Attempt:
    """One attempt at a stage, sent the signal `number` after so many seconds if it still runs then."""
    stage = StageFile.model_validate_json(path.read_bytes())
    name = uuid.uuid4().hex
    scratch = Path(stage.scratch) / name
    scratch.mkdir(parents=True)
    log = scratch / "log"
    child = workers().Process(target=_work, args=(path, name, scratch, log, dict(os.environ)))
    began = time.monotonic()
    child.start()
    metrics, first = scratch / "out" / "metrics.jsonl", 0.0
    while child.is_alive() and time.monotonic() - began < (LONGEST if after is None else after):
        child.join(0.02)
        first = first or (time.monotonic() - began if metrics.is_file() else 0.0)
    if child.is_alive():
        os.kill(child.pid, number if after is not None else signal.SIGABRT)
        child.join(LONGEST)
    assert child.exitcode is not None, "it did not even end after a signal"
    lines = metrics.read_text().splitlines() if metrics.is_file() else []
    reached = json.loads(lines[-1])["step"] if lines and lines[-1].endswith("}") else len(lines)
    text = log.read_text() if log.is_file() else ""
    shutil.rmtree(stage.scratch)
    return Attempt(child.exitcode, time.monotonic() - began, text, reached, first)


def attempt_together(path: Path, number: int | None = None, step: int = 0) -> Attempt:
    """One attempt as a launcher starts it, with its supervisor and torchrun; sent `number` once it has made `step`.

    SIGKILL falls on all its processes at once, as when a machine goes.
    """
    stage = StageFile.model_validate_json(path.read_bytes())
    place = Path(stage.scratch).with_suffix(".place")
    place.mkdir(exist_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "runtime", str(path)]
    child = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reached = 0
    if number is not None:
        while (reached := max(reached, _steps(stage))) < step and child.poll() is None:
            time.sleep(0.02)
        if number == signal.SIGKILL:
            kill_all_in(place)
        else:
            child.send_signal(number)
    log, _ = child.communicate(timeout=LONGEST)
    reached = max(reached, _steps(stage))
    shutil.rmtree(stage.scratch, ignore_errors=True)
    return Attempt(child.returncode, time.monotonic() - began, log, reached)


def _steps(stage: StageFile) -> int:
    """Of the attempt under way, as its metrics have them."""
    found = list(Path(stage.scratch).glob("*/out/metrics.jsonl"))
    return len(found[0].read_text().splitlines()) if found else 0


def together(stand: Stand, kind: str, zero: str = "off", tuner: str = "full") -> Cell:
    """Two processes that train together, stopped once and killed once."""
    quiet = stand.stage(kind, tuner, 2, zero)
    undisturbed = attempt_together(quiet)
    assert undisturbed.code == 0, undisturbed.log
    path, cell = stand.stage(kind, tuner, 2, zero), Cell(runs=1)
    stopped = attempt_together(path, signal.SIGTERM, STEPS[kind] // 4)
    killed = attempt_together(path, signal.SIGKILL, STEPS[kind] * 3 // 4)
    last = attempt_together(path)
    _judge(cell, [stopped, killed], last)
    if stopped.code != 77:
        cell.wrong.append(f"SIGTERM ended it with {stopped.code}\n{stopped.log}")
    cell.identical = int(outputs(stand, path) == outputs(stand, quiet))
    if not cell.identical:
        cell.wrong.append(f"{kind} in two processes: other bits than undisturbed\n{last.log}")
    return cell


def _work(path: Path, name: str, scratch: Path, log: Path, env: dict[str, str]) -> None:
    from runtime.process import worker

    os.environ.update(env, C2F_EXIT_DIR=str(scratch))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(worker.main([str(path), "--attempt", name]))


def outputs(stand: Stand, path: Path) -> dict[str, str]:
    """Digest of every file that a stage committed."""
    stage = StageFile.model_validate_json(path.read_bytes())
    record = records.read_record(stand.objects, stage.kind, stage.key)
    return {name: entry.blake3 for name, entry in record.files.items()} if record else {}


def disturb(
    stand: Stand, kind: str, number: int, moments: int, rng: random.Random, tuner: str = "full"
) -> Cell:
    """Kill trainings of `kind` at so many moments, twice each where it comes to that."""
    quiet = stand.stage(kind, tuner)
    pace = attempt(quiet)
    assert pace.code == 0, pace.log
    wanted, cell = outputs(stand, quiet), Cell()

    def moment() -> float:
        """From a little before the first step to the end, which includes writing the result."""
        return rng.uniform(0.9 * pace.first, pace.seconds)

    while len(cell.kills) < moments:
        path = stand.stage(kind, tuner)
        killed: list[Attempt] = []
        last = attempt(path, number, moment())
        while last.code != 0 and len(killed) < 2:
            killed.append(last)
            last = attempt(path, number, moment() if len(killed) < 2 else None)
        if not killed:
            pace = last  # it was done before its moment: the machine has less to do now
            continue
        cell.runs += 1
        _judge(cell, killed, last)
        odd = [each for each in killed if number == signal.SIGTERM and each.code != 77]
        cell.wrong += [f"SIGTERM ended it with {each.code}\n{each.log}" for each in odd]
        if outputs(stand, path) == wanted:
            cell.identical += 1
        else:
            cell.wrong.append(f"{kind}: other bits than undisturbed\n{last.log}")
    return cell


def _judge(cell: Cell, killed: list[Attempt], last: Attempt) -> None:
    for each, following in zip(killed, [*killed[1:], last], strict=True):
        kill = Kill(each.code, each.reached, each.resumed, following.resumed)
        cell.kills.append(kill)
        if kill.redone > kill.allowed:
            cell.wrong.append(
                f"{kill.redone} steps redone, {kill.allowed} allowed\n{each.log}{following.log}"
            )
    if last.code != 0:
        cell.wrong.append(f"undisturbed, it ended with {last.code}\n{last.log}")
