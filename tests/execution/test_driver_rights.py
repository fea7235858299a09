"""What the driver asks of a server is what its Role grants (k8s/base/driver-role.yaml)."""

from __future__ import annotations

import re

from ruamel.yaml import YAML

from c2f_spec.execution.driver import Driver
from c2f_spec.store.open import open_store
from tests.conftest import REPOSITORY
from tests.fake_api import Ending, FakeApi, JobController
from tests.fake_api.pods import Instant
from tests.support.cluster_world import chains, client_of, wished

PATH = re.compile(
    r"/apis?/(?:(?P<group>[a-z0-9.]+\.k8s\.io|batch)/)?v1/namespaces/c2f/(?P<plural>[a-z]+)(?P<rest>/[^?]*)?"
)
VERBS = {"POST": "create", "PUT": "update", "DELETE": "delete", "PATCH": "patch"}


def granted():
    """(group, resource, verb) of the Role."""
    documents = YAML(typ="safe", pure=True).load_all((REPOSITORY / "k8s/base/driver-role.yaml").read_text())
    role = next(d for d in documents if d["kind"] == "Role")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def needed(asked):
    """The same of requests. A server-side apply of what is not there needs `create`, too."""
    for method, path in asked:
        found = PATH.match(path)
        assert found, path
        group, resource, rest = found["group"] or "", found["plural"], found["rest"] or ""
        if rest.endswith("/log"):
            yield group, f"{resource}/log", "get"
        elif method == "GET":
            yield group, resource, "get" if rest else "watch" if "watch=1" in path else "list"
        else:
            yield group, resource, VERBS[method]
            if "fieldManager" in path and method == "PATCH":
                yield group, resource, "create"


def test_the_driver_needs_no_more_than_its_role(tmp_path):
    objects = open_store(str(tmp_path / "store"))
    with FakeApi() as api:
        api.logs = lambda *_: ["NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."]
        plan = chains(objects.url, 1)
        wished(plan, objects, client_of(api))
        before = len(api.requests)
        ends = {"sft": [Ending(75), Ending(137, "OOMKilled")]}
        with JobController(api.state, Instant(api.state, objects, ends=ends), nodes=("one", "two")):
            driver = Driver(plan, objects, client_of(api), "me", lease_seconds=2.0)
            assert list(driver.events())
            driver.finish()
        asked = set(needed(api.requests[before:]))
    assert asked <= granted()
    assert ("", "pods/log", "get") in asked
