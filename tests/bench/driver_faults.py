"""Faults of a cluster and of its driver, with the real command as a process; prints what was found. Exit 1 if anything was wrong.

The fake's pods commit and end; what is checked is what the driver did: that each stage got one Job, never before its
inputs were committed, and that in the end every stage is committed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

from c2f_spec.execution.run import save_plan
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.manifests.driver import plan_map
from tests.bench.measuring import temporary_folder
from tests.fake_api import FakeApi, Fault, JobController
from tests.fake_api.pods import Instant
from tests.support.cluster_world import chains
from tests.support.driver_process import command_of

KILLS, KILLS_A_RUN = 100, 5
LEASE_SECONDS = 1.0
DOWN_SECONDS = 60.0
FAILING = 0.2
LONGEST_SECONDS = 180.0
FAULTS = (
    Fault(status=429, retry_after=0),
    Fault(status=500),
    Fault(status=503),
    Fault(drop="before"),
    Fault(drop="after"),
)


class Run:
    """One plan on one fake cluster, and what is wrong with it."""

    def __init__(self, api, folder, *, number, seconds, count=3) -> None:
        self.api, self.folder, self.count = api, folder, count
        self.objects = open_store(str(folder / "store"))
        self.plan = chains(self.objects.url, count, name=f"run {number}")
        save_plan(self.plan, self.objects)
        api.state.load("c2f", plan_map(self.plan))
        self.pods = Instant(api.state, self.objects, seconds=seconds)

    def start(self, who="driver", lease=LEASE_SECONDS):
        folder = self.folder / who
        folder.mkdir(exist_ok=True)
        command, env = command_of(self.plan, self.objects, self.api, folder, lease=lease)
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)

    def wrong(self) -> list[str]:
        """Sentences; none if all is as it should be."""
        jobs = Counter(n for verb, kind, n in self.api.state.writes if (verb, kind) == ("create", "Job"))
        done = {n.rsplit("/", 1)[1].removesuffix(".json") for n in self.objects.names("records")}
        return [
            *(f"{name} was created {count} times" for name, count in jobs.items() if count != 1),
            *(f"{s.name} is not committed" for s in self.plan.stages if s.key not in done),
            *(f"{name} ran before its inputs were committed" for name in self.pods.early),
        ]


@contextmanager
def world(number, *, seconds=0.1, count=3):
    with temporary_folder() as folder, FakeApi() as api:
        run = Run(api, folder, number=number, seconds=seconds, count=count)
        with JobController(api.state, run.pods):
            yield run


def killed() -> list[str]:
    """SIGKILL just before or just after a request was carried out, at a random one of the next requests."""
    dice, kills, wrong, runs = random.Random(), 0, [], 0
    began = time.monotonic()
    while kills < KILLS:
        with world(runs) as run:
            runs += 1
            for _ in range(min(KILLS_A_RUN, KILLS - kills)):
                process = _kill_at(run, dice.randint(1, 40), before=dice.random() < 0.5)
                kills += process == -signal.SIGKILL
            wrong += _finish(run)
    print(f"killed: {kills} times in {runs} runs of 9 stages, {time.monotonic() - began:.0f} s")
    return _print_errors(wrong)


def _kill_at(run, number, *, before) -> int:
    """Start a driver, kill it at its request `number`; the exit code."""
    ready, requests = threading.Event(), 0

    def count(request):
        nonlocal requests
        if request.query.get("watch"):
            return
        requests += 1
        if requests == number and ready.wait(10):
            os.kill(process.pid, signal.SIGKILL)

    if before:
        run.api.fault = count
    else:
        run.api.after = count
    process = run.start()
    ready.set()
    try:
        return process.wait(LONGEST_SECONDS)
    finally:
        run.api.fault = run.api.after = None


def _finish(run) -> list[str]:
    process = run.start()
    try:
        code = process.wait(LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        log = (run.folder / "driver" / "log").read_text()[-500:]
        return [f"the driver did not come to an end: {log}", *run.wrong()]
    return [*_end(run, code), *run.wrong()]


def _end(run, code) -> list[str]:
    """How a driver ended that should have come to the end, with its last words."""
    words = (run.folder / "driver" / "log").read_text()[-400:]
    return [f"the driver ended with {code}: {words}"] if code else []


def down() -> list[str]:
    """The server is away for a minute in the middle; its pods go on meanwhile, as they do."""
    began = time.monotonic()
    with world("down", seconds=2.0) as run:
        process = run.start()
        time.sleep(4)
        run.api.down()
        time.sleep(DOWN_SECONDS)
        before = len(run.api.requests)
        run.api.up()
        code = process.wait(LONGEST_SECONDS)
        wrong = [*_end(run, code), *run.wrong()]
        after = len(run.api.requests) - before
    print(
        f"server down for {DOWN_SECONDS:.0f} s: done after {time.monotonic() - began:.0f} s, {after} requests after it was back"
    )
    return _print_errors(wrong)


def failing() -> list[str]:
    """One request in five fails, heard or not heard."""
    dice, failed, began = random.Random(), 0, time.monotonic()

    def fault(_request):
        nonlocal failed
        if dice.random() >= FAILING:
            return None
        failed += 1
        return dice.choice(FAULTS)

    with world("failing", count=10) as run:
        run.api.fault = fault
        wrong = _finish(run)
        requests = len(run.api.requests)
    print(f"requests failing: {failed} of {requests}, done after {time.monotonic() - began:.0f} s")
    return _print_errors(wrong)


def two() -> list[str]:
    """Two drivers of one plan; then the one that acts is killed."""
    with world("two", seconds=3.0) as run:
        drivers = {who: run.start(who) for who in ("one", "two")}
        time.sleep(6)
        acting = [who for who in drivers if "started" in (run.folder / who / "log").read_text()]
        wrong = [] if len(acting) == 1 else [f"{len(acting)} drivers act"]
        for who in acting:
            drivers[who].kill()
        codes = [process.wait(LONGEST_SECONDS) for who, process in drivers.items() if who not in acting]
        for process in drivers.values():
            process.wait()
        wrong += [f"the other driver ended with {code}" for code in codes if code] + run.wrong()
    print(f"two drivers: {len(acting)} acts; it is killed, the other goes on to the end")
    return _print_errors(wrong)


def _print_errors(wrong: list[str]) -> list[str]:
    print(
        "\n".join(f"  wrong: {line}" for line in wrong)
        or "  every stage created once, after its inputs, and committed"
    )
    return wrong


def main() -> None:
    wrong = [line for scene in (killed, down, failing, two) for line in scene()]
    sys.exit(1 if wrong else 0)
