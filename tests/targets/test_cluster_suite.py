"""tests/cluster/ needs a cluster and says so; `python -m tests.bench cluster_suite` runs it on the fake."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import REPOSITORY


def test_without_what_it_needs_it_is_skipped_and_says_so():
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/cluster"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("KUBE", "C2F_TEST"))}
    env["KUBECONFIG"] = str(REPOSITORY / "README.md")  # a file that is there
    done = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert "set C2F_TEST_IMAGE" in done.stdout
