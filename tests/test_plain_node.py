"""The rendered pods of a small experiment, run as plain processes, from the store to the store."""

from __future__ import annotations

import sys

from c2f_spec.plan.bundle import bundle, store_bundle
from c2f_spec.plan.compile import compile_plan, load_variants, unpinned
from c2f_spec.plan.staged import staged_copies
from c2f_spec.spec.cluster import KubernetesEnvironment
from c2f_spec.store import records
from c2f_spec.store.objects import open_objects
from c2f_spec.targets.kubernetes.render.checked import complaints
from c2f_spec.targets.kubernetes.render.stage import prepare
from tests.plain_node import run_job


def test_stages_run_from_their_objects_alone(repository, tiny_spec, tmp_path):
    objects = open_objects(str(repository / ".c2f" / "store"))
    environment = KubernetesEnvironment(
        c2f="v1",
        kind="kubernetes",
        namespace="c2f",
        store=objects.url,
        image=f"r.example.org/c2f@sha256:{'0' * 64}",
        python=sys.executable,
        pools={"cpu": {"gpus": 0, "cpu": "1", "memory": "2Gi", "ephemeral_storage": "1Gi"}},
        cpu_pool="cpu",
        demo=True,
    )
    loaded = load_variants(tiny_spec)
    pins = {need: copies[0] for need, copies in staged_copies(objects, unpinned(loaded)).items()}
    lock = "".join(f"  {name}: {digest}\n" for name, digest in pins.items())
    (tiny_spec.parent / "c2f.lock").write_text(f"c2f: v1\ndatasets:\n{lock}")
    plan = compile_plan(loaded, {}, environment, "plain")
    store_bundle(objects, bundle("stage"))
    for stage in plan.stages[:2]:
        made = prepare(plan, stage)
        assert complaints(made, environment) == []
        done = run_job(made, tmp_path / "node" / stage.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert records.read_record(objects, stage.kind, stage.key) is not None
    again = run_job(prepare(plan, plan.stages[0], retries=1), tmp_path / "node" / "again")
    assert again.returncode == 0
    assert "done before" in again.stdout
