"""The rendered pods of a small experiment, run as plain processes, from the store to the store."""

from __future__ import annotations

import sys

from c2f_spec.plan.code import bundle, store_bundle
from c2f_spec.plan.compile import compile_plan, load_variants, unpinned
from c2f_spec.plan.pins import staged_copies
from c2f_spec.spec.cluster import KubernetesEnvironment
from c2f_spec.spec.handoff import StageFile
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder, digest_of, seal
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.manifests.validation import manifest_errors
from runtime.commands import in_pod
from tests.support.plain_node import run_job


def test_stages_run_from_their_objects_alone(repository, tiny_spec, tmp_path):
    objects = open_store(str(repository / ".c2f" / "store"))
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
        assert manifest_errors(made, environment) == []
        done = run_job(made, tmp_path / "node" / stage.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert records.read_record(objects, stage.kind, stage.key) is not None
    again = run_job(prepare(plan, plan.stages[0], retries=1), tmp_path / "node" / "again")
    assert again.returncode == 0
    assert "already done" in again.stdout


def test_the_weights_of_a_teacher_come_verified_from_the_store(tmp_path):
    store, weights = tmp_path / "store", tmp_path / "weights"
    objects = open_store(str(store))
    given = tmp_path / "given"
    (given / "sub").mkdir(parents=True)
    (given / "model.safetensors").write_bytes(b"weights")
    (given / "sub" / "config.json").write_text("{}")
    files = digest_folder(given)
    folder = f"models/a/b/{'0' * 40}/{digest_of(files)}"
    listing = {
        p: e.model_dump(exclude_none=True)
        for p, e in objects.put_folder(given, f"{folder}/files", files).items()
    }
    objects.create(f"{folder}/model.json", seal({"files": listing}))
    name = f"a/b@{'0' * 40}"
    stage = StageFile(
        kind="distil",
        key="0" * 64,
        name="distil-0000000000",
        preimage={
            "spec": {"teacher": {"kind": "vllm", "model": "a/b", "revision": "0" * 40}},
            "models": {name: digest_of(files)},
        },
        store=str(store),
        scratch=str(tmp_path / "scratch"),
    )
    path = tmp_path / "stage.json"
    path.write_text(stage.model_dump_json())
    assert in_pod.main([str(path), "weights", "--to", str(weights)]) == 0
    assert (weights / "model.safetensors").read_bytes() == b"weights"
    assert in_pod.main([str(path), "weights", "--to", str(weights)]) == 0, (
        "a second start finds an old folder"
    )

    missing = stage.model_copy(update={"preimage": {**stage.preimage, "models": {name: "1" * 64}}})
    path.write_text(missing.model_dump_json())
    assert in_pod.main([str(path), "weights", "--to", str(weights)]) == 75
