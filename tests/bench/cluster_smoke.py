"""`specs/smoke.yaml` on a fake cluster whose pods are plain processes: eight stages for real, the driver killed thrice.

Driver and stages are what a cluster would run, from their rendered Jobs alone. Exit 1 if a Job was made twice or a
stage is missing in the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset
from c2f_spec.targets.kubernetes.client import JOBS
from tests.bench.measuring import c2f, temporary_folder
from tests.cli.test_apply_cluster import ENVIRONMENT
from tests.conftest import DOMAINS, HERE, REPOSITORY
from tests.fake_api import FakeApi, JobController
from tests.fake_api.pods import Processes
from tests.support.manifests import write_kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 3
LONGEST_SECONDS = 900.0


def main() -> None:
    began = time.monotonic()
    with temporary_folder() as root, FakeApi() as api:
        env = _repository(root, api)
        pods = Processes(api.state, root / "node", env)
        api.logs = pods.log
        with JobController(api.state, pods):
            command = c2f("apply", "specs/smoke.yaml", "--on", "plain", "--yes")
            subprocess.run(command, cwd=root, env={**os.environ, **env}, check=True)
            killed = _drive(api, pods)
        jobs = Counter(n for verb, kind, n in api.state.writes if (verb, kind) == ("create", "Job"))
        records = list(open_store(str(root / ".c2f" / "store")).names("records"))
    twice = [n for n, count in jobs.items() if count > 1]
    print(
        f"smoke on a cluster of processes: {len(records)} of 8 stages committed, {len(jobs)} Jobs, {len(twice)} made twice"
    )
    print(f"  the driver was killed {killed} times; {time.monotonic() - began:.0f} s")
    sys.exit(0 if len(records) == 8 and not twice else 1)


def _drive(api, pods) -> int:
    """Kill the driver when one more stage has started, so often; then wait for the end."""
    killed, end = 0, time.monotonic() + LONGEST_SECONDS
    while not all(j["status"].get("conditions") for j in api.state.all(JOBS)):
        time.sleep(0.1)
        assert time.monotonic() < end, "it did not come to an end"
        driver = next((p for n, p in list(pods.running.items()) if n.startswith("driver-")), None)
        if driver is not None and killed < KILLS and len(api.state.all(JOBS)) > killed + 2:
            driver.kill()
            killed += 1
    return killed


def _repository(root: Path, api) -> dict[str, str]:
    """A repository with the spec, an environment and pins; the variables that lead from it to the cluster."""
    store, data = root / ".c2f" / "store", root / "incoming"
    for folder in ("specs", "k8s/environments", "incoming", "home"):
        (root / folder).mkdir(parents=True)
    shutil.copy(HERE / "data" / "icwsm2014" / f"{DOMAINS['movie']}_GroundTruth.txt", data)
    digest = add_dataset(open_store(str(store)), "icwsm2014-movie", data, {"name": "icwsm2014-movie"})
    shutil.copy(REPOSITORY / "specs" / "smoke.yaml", root / "specs")
    (root / "specs" / "c2f.lock").write_text(f"c2f: v1\ndatasets:\n  icwsm2014-movie: {digest}\n")
    text = ENVIRONMENT.format(store=store, zeros="0" * 64, python=sys.executable)
    (root / "k8s" / "environments" / "plain.yaml").write_text(text)
    (root / ".gitignore").write_text(".c2f\nincoming\nhome\nnode\nkubeconfig\n")
    variables = write_kubeconfig(root, api.url)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in ("init -q", "add .", "commit -q -m x", "update-ref refs/remotes/origin/main HEAD"):
        subprocess.run([*git, *words.split()], cwd=root, check=True)
    return variables
