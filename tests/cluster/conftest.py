"""A namespace of its own in the cluster of KUBECONFIG, and a repository with `specs/smoke.yaml` for it.

    KUBECONFIG=… C2F_TEST_PYTHON=/path/to/python pytest -m cluster tests/cluster
    KUBECONFIG=… C2F_TEST_IMAGE=registry/c2f@sha256:… C2F_TEST_STORE=s3://bucket/x pytest -m cluster tests/cluster

KUBECONFIG            the cluster, with rights to make a namespace and what is in k8s/base
C2F_TEST_IMAGE        the runtime's image, by digest; absent: one that is never pulled, for nodes without containers
C2F_TEST_PYTHON       the interpreter with the runtime's packages, in the image or on such nodes; absent: python3
C2F_TEST_STORE        a store that pods and this machine reach; absent: a folder of this machine, for such nodes
C2F_TEST_ENDPOINT     of an S3-compatible store; its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of this process
C2F_TEST_SECONDS      the longest that an experiment may take; absent: 900

No kubectl, docker or kind is asked for, no name is fixed, every wait has an end, and the namespace goes at the end.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from c2f_spec.targets.kubernetes.client import JOBS, NAMESPACES, PODS, Client
from c2f_spec.targets.kubernetes.kubeconfig import find_access
from tests.cluster.manifests import base
from tests.conftest import DOMAINS, HERE, REPOSITORY

NOWHERE = f"registry.invalid/c2f@sha256:{'1' * 64}"
OURS = "app.kubernetes.io/managed-by=c2f-spec"
SPEC = "specs/smoke.yaml"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def seconds():
    return float(os.environ.get("C2F_TEST_SECONDS", "900"))


def until(what, limit=None, *, pause=0.5):
    """The first answer of `what` that is true."""
    end = time.monotonic() + (limit or seconds())
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(pause)
    raise AssertionError(f"not within {limit or seconds():.0f} s: {what.__doc__ or what.__name__}")


@dataclass
class World:
    """A namespace of a cluster and a repository to work in."""

    client: Client
    folder: Path
    store: str

    def c2f(self, *argv, check=0, limit=None):
        """Run the command as its user does."""
        done = subprocess.run(
            [sys.executable, "-m", "c2f_spec", *argv], cwd=self.folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, check=False, timeout=limit or seconds(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        told = f"c2f-spec {' '.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert check is None or done.returncode == check, f"{told}\n{self.pods()}"
        return done

    def apply(self, *more, **how):
        return self.c2f("apply", SPEC, "--on", "here", "--yes", *more, **how)

    def status(self, *more):
        """Kind to row; of several stages of a kind the first."""
        told = self.c2f("status", SPEC, "--on", "here", "-o", "json", *more, limit=120).stdout
        found = {}
        for row in json.loads(told)["stages"]:
            found.setdefault(row["stage"].rpartition("-")[0], row)
        return found

    def of(self, component, resource=PODS):
        """Objects of stages or drivers."""
        return [*self.client.list(resource, labels=f"{OURS},app.kubernetes.io/component={component}")]

    def living(self, kind):
        """Pods of a kind of stage that run."""
        return [
            p for p in self.of("stage")
            if p["metadata"]["labels"]["c2f-spec/kind"] == kind
            and p.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]
        ]  # fmt: skip

    def pods(self):
        """What a failure is told with."""
        return "\n".join(
            f"{p['metadata']['name']}: {json.dumps(p.get('status', {}))[:1500]}"
            for p in self.client.list(PODS)
        )

    def jobs(self):
        """Name to uid: what a second `apply` must leave as it is."""
        return {j["metadata"]["name"]: j["metadata"]["uid"] for j in self.client.list(JOBS)}


@pytest.fixture(scope="session")
def client():
    config = os.environ.get("KUBECONFIG", "")
    if not config or not all(Path(p).is_file() for p in config.split(os.pathsep) if p):
        pytest.skip("KUBECONFIG names no cluster")
    if not {"C2F_TEST_IMAGE", "C2F_TEST_PYTHON"} & set(os.environ):
        pytest.skip("set C2F_TEST_IMAGE, or C2F_TEST_PYTHON for nodes that run pods as plain processes")
    if "C2F_TEST_IMAGE" in os.environ and "C2F_TEST_STORE" not in os.environ:
        pytest.skip("set C2F_TEST_STORE: pods in containers do not see a folder of this machine")
    made = Client(find_access(), namespace=f"c2f-test-{uuid.uuid4().hex[:8]}", patience=60)
    name = made.namespace
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "c2f-spec/test": "true"}
    made.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield made
    made.delete(NAMESPACES, name)
    until(lambda: made.get(NAMESPACES, name) is None, 300)


@pytest.fixture(scope="session")
def world(client, tmp_path_factory):
    for item in base(client.namespace):
        client.apply(item)
    folder = tmp_path_factory.mktemp("repository")
    store = os.environ.get("C2F_TEST_STORE") or str(tmp_path_factory.mktemp("store"))
    made = World(client, folder, store)
    (folder / "specs").mkdir()
    shutil.copy(REPOSITORY / SPEC, folder / "specs")
    (folder / "incoming").mkdir()
    shutil.copy(HERE / "data" / "icwsm2014" / f"{DOMAINS['movie']}_GroundTruth.txt", folder / "incoming")
    (folder / "k8s" / "environments").mkdir(parents=True)
    (folder / "k8s" / "environments" / "here.yaml").write_text(
        json.dumps(environment(client, store), indent=1)
    )
    (folder / ".gitignore").write_text("incoming\n.c2f\n")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
    made.c2f("data", "add", "icwsm2014-movie", "--from", "incoming", "--on", "here")
    for command in ("add .", "commit -q -m test", "update-ref refs/remotes/origin/main HEAD"):
        subprocess.run([*git, *command.split()], cwd=folder, check=True)
    return made


def environment(client, store):
    """As JSON, which is YAML."""
    version = client.raw("/version")
    minor = min(37, int("".join(c for c in str(version["minor"]) if c.isdigit())))
    given = {
        "c2f": "v1", "kind": "kubernetes", "kubernetes": f"{version['major']}.{minor}", "namespace": client.namespace,
        "store": store, "image": os.environ.get("C2F_TEST_IMAGE", NOWHERE),
        "python": os.environ.get("C2F_TEST_PYTHON", "python3"), "cpu_pool": "cpu", "demo": True,
        "pools": {"cpu": {"gpus": 0, "cpu": "1", "memory": "2Gi", "ephemeral_storage": "2Gi", "shm": "64Mi"}},
        "limits": {"grace_seconds": 60}, "driver": {"cpu": "100m", "memory": "256Mi", "ephemeral_storage": "512Mi"},
    }  # fmt: skip
    if "://" in store:
        keys = {"AWS_ACCESS_KEY_ID": "access-key-id", "AWS_SECRET_ACCESS_KEY": "secret-access-key"}
        values = {key: base64.b64encode(os.environ[name].encode()).decode() for name, key in keys.items()}
        client.create(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c2f-store"}, "data": values}
        )
        given["secrets"] = {"store": {"name": "c2f-store", "env": keys}}
        given["access"] = {"secret": "store", "region": "us-east-1"}
        if "C2F_TEST_ENDPOINT" in os.environ:
            given["access"]["endpoint"] = os.environ["C2F_TEST_ENDPOINT"]
    return given
