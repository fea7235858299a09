"""`python -m tests.bench cluster_suite`: tests/cluster/ on the fake API server, whose pods are plain processes.

A few minutes. On a real cluster it is `pytest tests/cluster` with what tests/cluster/conftest.py asks for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.bench.measuring import temporary_folder
from tests.conftest import REPOSITORY
from tests.fake_api import FakeApi, JobController
from tests.fake_api.pods import Processes
from tests.support.manifests import write_kubeconfig


def main() -> None:
    begin = time.perf_counter()
    with temporary_folder() as folder, FakeApi() as api:
        variables = write_kubeconfig(folder, api.url, user={"token": "t"})
        pods = Processes(api.state, folder / "node", variables)
        api.logs = pods.log
        command = [sys.executable, "-m", "pytest", "-x", "-v", "-p", "no:cacheprovider", "tests/cluster"]
        env = {**os.environ, **variables, "C2F_TEST_PYTHON": sys.executable}
        with JobController(api.state, pods):
            code = subprocess.run(command, cwd=REPOSITORY, env=env, check=False, timeout=1800).returncode
    print(
        f"tests/cluster on the fake: {'passed' if code == 0 else 'FAILED'} in {time.perf_counter() - begin:.0f} s"
    )
    if code:
        sys.exit(code)
