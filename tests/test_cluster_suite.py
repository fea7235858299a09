"""tests/cluster/ itself: does it pass where nothing is wrong? On the fake, whose pods are plain processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.fake_api import FakeApi, JobController
from tests.fake_api.pods import Processes


@pytest.mark.slow
def test_the_suite_for_clusters_passes_on_the_fake(tmp_path):
    with FakeApi() as api:
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": api.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        way = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
        pods = Processes(api.state, tmp_path / "node", way)
        api.logs = pods.log
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/cluster"]
        env = {**os.environ, **way, "C2F_TEST_PYTHON": sys.executable}
        with JobController(api.state, pods):
            done = subprocess.run(
                command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=900
            )
    assert done.returncode == 0, done.stdout[-8000:]
    assert "skipped" not in done.stdout


def test_without_what_it_needs_it_is_skipped_and_says_so():
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/cluster"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("KUBE", "C2F_TEST"))}
    env["KUBECONFIG"] = str(REPOSITORY / "README.md")  # a file that is there
    done = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert "set C2F_TEST_IMAGE" in done.stdout
