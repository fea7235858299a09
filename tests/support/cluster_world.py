"""Plans of a cluster for tests: the environment `kind` with a store in a folder, and stages that cost nothing."""

from __future__ import annotations

from pathlib import Path

from c2f_spec.execution.run import save_plan
from c2f_spec.keys import content_key
from c2f_spec.plan.compile import load_environment
from c2f_spec.plan.model import Plan, Stage, Variant
from c2f_spec.spec.handoff import Placement
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.kubeconfig import Access, Anonymous
from c2f_spec.targets.kubernetes.manifests.driver import plan_map
from tests.conftest import TINY_SPEC

IMAGE = f"registry.example/c2f/runtime@sha256:{'0' * 64}"


def environment_of(store, **changes):
    """`kind`, with its store in a folder of this machine."""
    environment = load_environment("kind", Path(__file__).parents[2], None)
    return environment.model_copy(update={"store": str(store), "image": IMAGE, **changes})


def chains(store, count, *, kinds=("prepare", "sft", "evaluate"), name="chains", **changes):
    """A plan of `count` chains of stages that share nothing."""
    stages, variants = [], []
    for number in range(count):
        keys = []
        for kind in kinds:
            inputs = {"before": keys[-1]} if keys else {}
            preimage = {"kind": kind, "number": number, "name": name, "inputs": inputs}
            key = content_key(preimage)
            placement = Placement(image=IMAGE, pool="cpu")
            stages.append(
                Stage(key, kind, inputs, preimage, f"{kind} {number}", placement, (f"v{number}",), "0" * 64)
            )
            keys.append(key)
        variants.append(Variant(f"v{number}", TINY_SPEC, tuple(keys)))
    return Plan(name, environment_of(store, **changes), "kind", tuple(variants), tuple(stages))


def client_of(api, namespace="c2f", **settings):
    return Client(Access(api.url, namespace, Anonymous()), **settings)


def store_plan(plan, objects, client):
    """Store a plan and create its ConfigMap, as `apply` does before it starts the driver."""
    save_plan(plan, objects)
    client.apply(plan_map(plan))


def stored_chains(api, objects, count, **options):
    """Return a plan of `chains` that a driver may take up at once."""
    plan = chains(objects.url, count, **options)
    store_plan(plan, objects, client_of(api))
    return plan
