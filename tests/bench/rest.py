"""The driver with little to do: a thousand stages that are done, their Jobs still there, and twenty that run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from c2f_spec.execution.run import save_plan
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import JOBS
from c2f_spec.targets.kubernetes.manifests.driver import plan_map
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from tests.bench.measuring import temporary_folder
from tests.fake_api import FakeApi
from tests.fake_api.pods import commit
from tests.support.cluster_world import chains
from tests.support.driver_process import driver_process

FINISHED, RUNNING = 1000, 20
SETTLE_SECONDS, WATCHED_SECONDS = 15.0, 60.0
END = {"type": "Complete", "status": "True", "reason": "CompletionsReached"}


def at_rest() -> None:
    """Print memory, share of a processor and requests of the real command, over a minute."""
    with temporary_folder() as folder, FakeApi() as api:
        objects = open_store(str(folder / "store"))
        plan = chains(objects.url, FINISHED + RUNNING, kinds=("evaluate",))
        save_plan(plan, objects)
        api.state.load("c2f", plan_map(plan))
        for number, stage in enumerate(plan.stages):
            done = number < FINISHED
            job = prepare(plan, stage)[-1]
            if done:
                commit(objects, stage.kind, stage.key)
            else:
                del job["spec"]["ttlSecondsAfterFinished"]
            api.state.load("c2f", job)
            status = {"conditions": [END], "succeeded": 1} if done else {"active": 1, "ready": 1}
            api.state.merge(JOBS, "c2f", job["metadata"]["name"], {"status": status})
        with driver_process(plan, objects, api, folder) as process:
            time.sleep(SETTLE_SECONDS)
            before, asked = _seconds(process.pid), len(api.requests)
            time.sleep(WATCHED_SECONDS)
            used, asked = _seconds(process.pid) - before, len(api.requests) - asked
            resident, peak = _megabytes(process.pid, "VmRSS"), _megabytes(process.pid, "VmHWM")
        print(
            f"the driver beside {FINISHED} finished Jobs and {RUNNING} that run, over {WATCHED_SECONDS:.0f} s:"
        )
        print(
            f"  {resident:.0f} MB (at most {peak:.0f}), {100 * used / WATCHED_SECONDS:.2f} % of a processor, {asked} requests"
        )


def _seconds(pid: int) -> float:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int, what: str) -> float:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith(what))
    return int(line.split()[1]) / 1024


def main() -> None:
    at_rest()
