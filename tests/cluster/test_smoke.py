"""One experiment from `doctor` to `delete`, with what happens to it on the way. In order: each test goes on from the last."""

from __future__ import annotations

import json

from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, LEASES, PODS, SERVICES
from tests.cluster.conftest import OURS, SPEC, until

LONG = ("--set", "sft.steps=300")
"""Training that lasts long enough to be evicted."""
ENDLESS = ("--set", "sft.steps=5000", "--set", "seed=7")
"""Training that is cancelled; all before it is shared with the other experiment."""


def test_doctor_finds_nothing_that_would_stop_it(world):
    found = json.loads(world.c2f("doctor", "here", "-o", "json", check=None, limit=120).stdout)["findings"]
    # What depends on how nodes get their image and whether they have labels is not this test's to judge.
    wrong = [f for f in found if f["level"] == "error" and not f["what"].startswith(("image", "pool"))]
    assert wrong == []
    assert {f["what"] for f in found if f["level"] == "ok"} >= {
        "rights",
        f"namespace {world.client.namespace}",
    }


def test_applying_twice_makes_one_of_everything(world):
    assert "driver: driver-" in world.apply(*LONG).stdout
    before = world.jobs()
    assert len(world.of("driver", JOBS)) == 1
    again = world.apply(*LONG).stdout
    assert "is being run already" in again
    after = world.jobs()
    assert {name: after[name] for name in before} == before


def test_a_driver_that_is_killed_is_followed_by_another(world):
    def begun():
        """A driver runs and a stage has begun"""
        running = [p for p in world.of("driver") if p.get("status", {}).get("phase") == "Running"]
        return running[0] if running and world.of("stage", JOBS) else None

    victim = until(begun)
    path = PODS.path(world.client.namespace, victim["metadata"]["name"])
    world.client.transport.send("DELETE", path, body={"gracePeriodSeconds": 0})

    def another():
        """Another driver runs"""
        return any(p["metadata"]["uid"] != victim["metadata"]["uid"] for p in world.of("driver"))

    until(another, 180)


def test_training_that_is_evicted_goes_on(world):
    def training():
        """Training tells of its steps"""
        row = world.status(*LONG)["sft"]
        assert row["state"] != "failed", row
        return world.living("sft") if row["state"] == "running" and "/300" in row["detail"] else None

    (victim,) = until(training, pause=0.2)
    name, space = victim["metadata"]["name"], world.client.namespace
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": space}}
    world.client.transport.send("POST", PODS.path(space, name, "eviction"), body=eviction)

    def done():
        """Training is done"""
        row = world.status(*LONG)["sft"]
        assert row["state"] != "failed", row
        return row["state"] == "done"

    until(done)

    def resumed():
        """The log tells of two attempts, and that the second went on"""
        told = world.c2f("logs", SPEC, "sft", "--on", "here", *LONG).stdout
        return told.count("--- attempt") >= 2 and "resumed from step" in told

    until(resumed, 60)  # its last lines are stored moments after its record


def test_it_ends_and_applying_again_starts_nothing(world):
    done = world.apply("--wait", *LONG)
    assert "FAILED" not in done.stdout
    assert {row["state"] for row in world.status(*LONG).values()} == {"done"}
    before = world.jobs()
    assert "nothing to do" in world.apply(*LONG).stdout
    assert {name: uid for name, uid in world.jobs().items() if name in before} == {
        name: uid for name, uid in before.items() if name in world.jobs()
    }


def test_a_stage_is_cancelled_and_tried_again(world):
    world.apply(*ENDLESS)

    def training():
        """Training runs"""
        return world.living("sft")

    until(training)
    stopped = world.c2f("cancel", SPEC, "sft", "--on", "here", *ENDLESS, limit=300).stdout
    assert "has stopped" in stopped
    row = world.status(*ENDLESS)["sft"]
    assert row["state"] == "failed", row
    assert "cancelled by" in row["detail"]
    assert not world.living("sft")
    assert (
        "will be tried again" in world.c2f("retry", SPEC, "sft", "--on", "here", *ENDLESS, limit=120).stdout
    )
    world.apply(*ENDLESS)
    until(training)


def test_a_plan_is_cancelled(world):
    assert "has stopped" in world.c2f("cancel", SPEC, "--on", "here", *ENDLESS, limit=300).stdout
    assert not world.living("sft")
    assert "nothing is running" in world.c2f("cancel", SPEC, "--on", "here", *ENDLESS, limit=120).stdout


def test_delete_leaves_nothing_behind(world):
    for settings in (LONG, ENDLESS):
        world.c2f("delete", SPEC, "--on", "here", "--yes", *settings, limit=300)

    def left():
        """Nothing of ours is left"""
        found = [
            f"{resource.kind} {item['metadata']['name']}"
            for resource in (JOBS, CONFIGMAPS, PODS, SERVICES, LEASES)
            for item in world.client.list(resource, labels=OURS)
        ]
        assert found == [] or all(f.startswith("Pod ") for f in found), found
        return not found

    until(left, 120)
    assert {row["state"] for row in world.status(*LONG).values()} == {"done"}, "results stay in the store"
