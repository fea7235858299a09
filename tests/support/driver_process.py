"""The command `c2f-spec driver` as a process of its own, for measurements and for killing it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

from tests.support.manifests import write_kubeconfig


def command_of(plan, objects, api, folder, *, lease=2.0):
    """Arguments and environment."""
    where = f"{objects.url}/plans/{plan.digest}/plan.json"
    command = [sys.executable, "-m", "c2f_spec", "driver", "--plan", where, "--digest", plan.digest]
    return [*command, "--lease", str(lease)], {**os.environ, **write_kubeconfig(folder, api.url)}


@contextmanager
def driver_process(plan, objects, api, folder, *, lease=30.0):
    """Killed at the end of the block, if it still runs."""
    command, env = command_of(plan, objects, api, folder, lease=lease)
    with (folder / "driver.log").open("ab") as log:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
