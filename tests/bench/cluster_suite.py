"""`python -m tests.bench cluster_suite`: tests/cluster/ on the fake API server, whose pods are plain processes.

A few minutes. On a real cluster it is `pytest tests/cluster` with what tests/cluster/conftest.py asks for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.fake_api import FakeApi, JobController
from tests.fake_api.pods import Processes


def main() -> None:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, FakeApi() as api:
        folder = Path(name)
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": api.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (folder / "kubeconfig").write_text(json.dumps(config))
        way = {"KUBECONFIG": str(folder / "kubeconfig"), "PYTHONPATH": str(REPOSITORY)}
        pods = Processes(api.state, folder / "node", way)
        api.logs = pods.log
        command = [sys.executable, "-m", "pytest", "-x", "-v", "-p", "no:cacheprovider", "tests/cluster"]
        env = {**os.environ, **way, "C2F_TEST_PYTHON": sys.executable}
        with JobController(api.state, pods):
            code = subprocess.run(command, cwd=REPOSITORY, env=env, check=False, timeout=1800).returncode
    print(
        f"tests/cluster on the fake: {'passed' if code == 0 else 'FAILED'} in {time.perf_counter() - begin:.0f} s"
    )
    if code:
        sys.exit(code)
