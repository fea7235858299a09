"""The script that pods start with brings the code from every kind of store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from c2f_spec.plan.code import bundle, store_bundle
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.manifests.stage import BOOT
from tests.store.conftest import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_code_comes_from_the_store(kind, url_of, tmp_path):
    url, code = url_of(kind), bundle("stage")
    store_bundle(open_store(url), code)
    script = shutil.copy(BOOT, tmp_path / "boot.py")
    call = [sys.executable, "-P", script, "--store", url, "--code"]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"C2F_SCRATCH": str(tmp_path / "pod")}
    done = subprocess.run(
        [*call, code.digest, "runtime", "--help"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Run one stage" in done.stdout
    missing = subprocess.run(
        [*call, "0" * 64, "runtime"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 75
    assert f"code/{'0' * 64}.zip" in missing.stdout
