"""The driver's requests need no right that its Role lacks (k8s/base/driver-role.yaml)."""

from __future__ import annotations

from ruamel.yaml import YAML

from c2f_spec.execution.driver import Driver
from tests.conftest import REPOSITORY
from tests.fake_api import Ending, JobController
from tests.fake_api.pods import Instant
from tests.support.cluster_world import client_of, stored_chains
from tests.support.rights import granted, needed


def test_the_driver_needs_no_more_than_its_role(api, objects):
    api.logs = lambda *_: ["NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."]
    plan = stored_chains(api, objects, 1)
    before = len(api.requests)
    ends = {"sft": [Ending(75), Ending(137, "OOMKilled")]}
    with JobController(api.state, Instant(api.state, objects, ends=ends), nodes=("one", "two")):
        driver = Driver(plan, objects, client_of(api), "me", lease_seconds=2.0)
        assert list(driver.events())
        driver.finish()
    rights = needed(api.requests[before:])
    documents = YAML(typ="safe", pure=True).load_all((REPOSITORY / "k8s/base/driver-role.yaml").read_text())
    assert rights <= granted(next(d for d in documents if d["kind"] == "Role"))
    assert ("", "pods/log", "get") in rights
