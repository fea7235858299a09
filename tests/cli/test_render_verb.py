"""`render` as its user meets it; the bundle of code, and the script that brings it into a pod."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from c2f_spec.cli.main import main
from c2f_spec.plan.code import bundle, bundle_of, store_bundle
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.kubeconfig import Access, Anonymous
from c2f_spec.targets.kubernetes.manifests.stage import BOOT
from tests.fake_api import FakeApi

ROOT = Path(__file__).parents[2]
KUBECTL = Path(sys.executable).parent / "kubectl"


@pytest.fixture
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_render_writes_the_same_files_each_time_and_says_when_they_differ(here, tmp_path, capsys):
    call = ["render", "specs/smoke.yaml", "--on", "kind", "--out-dir", str(tmp_path)]
    assert main(call) == 0
    written = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert len(written) == 8 + 2
    assert main([*call, "--check"]) == 0
    capsys.readouterr()
    assert main(call) == 0
    assert capsys.readouterr().out == "", "nothing changed"
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == written

    (tmp_path / "driver.yaml").unlink()
    stage = next(p for p in tmp_path.iterdir() if p.name.startswith("sft-"))
    stage.write_text(stage.read_text().replace("backoffLimit: 6", "backoffLimit: 7"))
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    assert main([*call, "--check"]) == 4
    told = capsys.readouterr().err
    assert "driver.yaml: missing" in told
    assert f"{stage.name}: differs" in told
    assert main(call) == 0
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {**written, "mine.yaml": b"a: 1\n"}


def test_what_is_no_longer_rendered_is_removed(here, tmp_path):
    call = ["render", "specs/smoke.yaml", "--on", "kind", "--out-dir", str(tmp_path)]
    assert main(call) == 0
    before = {p.name for p in tmp_path.iterdir()}
    assert main([*call, "--set", "seed=7"]) == 0
    after = {p.name for p in tmp_path.iterdir()}
    assert len(after) == len(before)
    assert after - before


def test_without_a_folder_it_prints_yaml(here, capsys):
    assert main(["render", "specs/smoke.yaml", "--on", "kind"]) == 0
    kinds = [o["kind"] for o in yaml.safe_load_all(capsys.readouterr().out)]
    assert kinds == ["ConfigMap", "Job", *["ConfigMap", "Job"] * 8]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["specs/smoke.yaml"], "`local` is an environment of kind `local`, which has no manifests"),
        (["specs/smoke.yaml", "--on", "kind", "--check"], "needs `--out-dir`"),
        (["specs/smoke.yaml", "--on", "kind", "--gitops", "--offline"], "every name must be pinned"),
    ],
)
def test_wrong_calls(here, capsys, argv, says):
    assert main(["render", *argv]) == 64
    assert says in capsys.readouterr().err


def test_a_name_that_is_not_pinned_is_no_object(here, capsys):
    assert main(["render", "specs/sims_hint.yaml"]) == 3
    assert "is not pinned in c2f.lock, as a cluster needs" in capsys.readouterr().err
    assert main(["render", "specs/sims_hint.yaml", "--offline"]) == 0


def test_what_kubernetes_would_refuse_is_reported_at_the_line_of_the_environment(here, tmp_path, capsys):
    text = (ROOT / "k8s" / "environments" / "kind.yaml").read_text()
    volume = "volumes: [{name: data, hostPath: {path: /data}}]"
    (tmp_path / "kind.yaml").write_text(
        f"{text}pod_template:\n  spec:\n    dnsPolicy: Default\n    {volume}\n"
    )
    line = len(text.splitlines()) + 4
    assert main(["render", "specs/smoke.yaml", "--on", "kind", "--environments", str(tmp_path)]) == 3
    told = capsys.readouterr().err
    assert f"kind.yaml:{line}:14: Kubernetes 1.33 would refuse each Job" in told
    assert "host paths are not allowed (Pod Security `restricted`) [C2F455]" in told
    assert told.count("C2F455") == 1, "once, and not once a stage"


# ---- GitOps


def test_a_folder_for_git_is_complete_and_holds_no_job_of_a_stage(here, tmp_path):
    call = ["render", "specs/smoke.yaml", "--on", "kind", "--gitops", "--out-dir", str(tmp_path)]
    assert main(call) == 0
    files = {p.name: p.read_text() for p in tmp_path.iterdir()}
    objects = {name: yaml.safe_load(text) for name, text in files.items()}
    assert sorted(objects) == ["bundle.yaml", "driver.yaml", "kustomization.yaml", "plan.yaml"]
    assert objects["kustomization.yaml"]["resources"] == ["plan.yaml", "bundle.yaml", "driver.yaml"]
    digest = objects["plan.yaml"]["data"]["digest"]
    assert objects["driver.yaml"]["metadata"]["name"] == f"driver-{digest[:10]}"
    command = objects["driver.yaml"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-2:] == ["--digest", digest]
    assert "ttlSecondsAfterFinished" not in objects["driver.yaml"]["spec"], "a sync would start it again"
    options = objects["bundle.yaml"]["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]
    assert options == "ServerSideApply=true", "it is larger than an annotation may be"
    assert f"{command[command.index('--code') + 1]}.zip.z" in objects["bundle.yaml"]["binaryData"]


def test_kustomize_takes_the_folder(here, tmp_path):
    call = ["render", "specs/smoke.yaml", "--on", "kind", "--gitops", "--out-dir", str(tmp_path)]
    assert main(call) == 0
    built = subprocess.run(
        [KUBECTL, "kustomize", tmp_path], capture_output=True, text=True, check=True
    ).stdout
    assert [o["kind"] for o in yaml.safe_load_all(built)] == ["ConfigMap", "ConfigMap", "Job"]


def test_applying_the_folder_twice_writes_nothing_the_second_time(here, tmp_path):
    """As Argo CD and Flux do: server-side, each file as it stands; and once more rendered and applied."""
    call = ["render", "specs/smoke.yaml", "--on", "kind", "--gitops", "--out-dir", str(tmp_path)]
    seen = []
    with FakeApi() as api:
        client = Client(Access(api.url, "c2f", Anonymous()), patience=5)
        for _ in range(2):
            assert main(call) == 0
            for name in yaml.safe_load((tmp_path / "kustomization.yaml").read_text())["resources"]:
                for item in yaml.safe_load_all((tmp_path / name).read_text()):
                    applied = client.apply(item)["metadata"]
                    seen.append((applied["name"], applied["uid"], applied["resourceVersion"]))
    assert seen[:3] == seen[3:]
    assert len(set(seen)) == 3


# ---- the bundle


def copied(tmp_path):
    root = tmp_path / "tree"
    for package in ("c2f_spec", "runtime"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_equal_files_give_equal_bytes_wherever_and_whenever_they_lie(tmp_path):
    root = copied(tmp_path)
    for path in root.rglob("*.py"):
        path.chmod(0o755)
        os.utime(path, (0, 0))
    assert bundle_of(root, "stage") == bundle("stage")
    assert bundle_of(root, "driver") == bundle("driver")


def test_a_bundle_holds_what_its_program_may_import_and_no_more():
    stage = zipfile.ZipFile(BytesIO(bundle("stage").data)).namelist()
    driver = zipfile.ZipFile(BytesIO(bundle("driver").data)).namelist()
    assert "runtime/__main__.py" in stage
    assert "c2f_spec/spec/handoff.py" in stage
    assert not [n for n in stage if n.startswith(("c2f_spec/cli", "c2f_spec/plan", "c2f_spec/targets"))]
    assert "c2f_spec/cli/main.py" in driver
    assert "c2f_spec/targets/kubernetes/manifests/schemas.json" in driver
    assert stage == sorted(stage)


def test_whatever_the_bundle_imports_of_us_is_in_it():
    """Any import, of any function of any file."""
    for what in ("stage", "driver"):
        archive = zipfile.ZipFile(BytesIO(bundle(what).data))
        names = {
            n.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for n in archive.namelist()
        }
        for name in archive.namelist():
            if name.endswith(".py"):
                missing = {m for m in imported(archive.read(name)) if m not in names}
                assert not missing, f"{name} of the {what} bundle imports {missing}"


def imported(source):
    """Modules of ours that a file imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in ("c2f_spec", "runtime"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "c2f_spec",
            "runtime",
        ):
            yield node.module


# ---- the script in the pod


def boot(tmp_path, *argv, check=0, env=()):
    """Run `boot.py` as a pod does: alone, outside of this repository."""
    script = tmp_path / "boot.py"
    shutil.copy(BOOT, script)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", script, *argv],
        cwd=tmp_path,
        env={**clean, "C2F_SCRATCH": str(tmp_path / "scratch"), **dict(env)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == check, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def stored(tmp_path):
    """A store that holds the bundle of stages."""
    store = tmp_path / "store"
    store_bundle(open_store(str(store)), bundle("stage"))
    return store


def test_boot_brings_the_code_and_becomes_the_program(tmp_path, stored):
    out = boot(
        tmp_path,
        *("--store", str(stored), "--code", bundle("stage").digest, "http.server", "--help"),
        env={"HOME": str(tmp_path / "scratch" / "home")}.items(),
    )
    assert "usage:" in out
    assert (tmp_path / "scratch" / "home").is_dir()
    code = tmp_path / "scratch" / "code" / bundle("stage").digest
    assert (code / "runtime" / "__main__.py").is_file()
    again = boot(tmp_path, "--store", str(stored), "--code", bundle("stage").digest, "platform")
    assert again, "a second start finds it unpacked"


def test_a_stage_file_that_is_not_the_rendered_one_is_refused(tmp_path, stored):
    stage = tmp_path / "stage.json"
    stage.write_text(json.dumps({"store": "elsewhere", "scratch": "elsewhere", "key": "k"}))
    digest = hashlib.sha256(stage.read_bytes()).hexdigest()
    show = tmp_path / "scratch" / "shown"
    call = ["--store", str(stored), "--code", bundle("stage").digest, "--stage", str(stage), "--digest"]
    boot(tmp_path, *call, digest, "json.tool", str(show))
    given = json.loads(show.read_text())
    assert given == {"store": str(stored), "scratch": f"{tmp_path}/scratch/work", "key": "k"}
    assert "is not the stage file" in boot(tmp_path, *call, "0" * 64, "json.tool", check=64)


def test_code_that_is_missing_or_damaged_is_worth_another_try(tmp_path, stored):
    digest = bundle("stage").digest
    assert "cannot read" in boot(tmp_path, "--store", str(stored), "--code", "0" * 64, "platform", check=75)
    path = stored / bundle("stage").name
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    told = boot(tmp_path, "--store", str(stored), "--code", digest, "platform", check=75)
    assert "has another digest" in told


def test_a_driver_starts_from_what_came_along(here, tmp_path):
    folder, store = tmp_path / "git", tmp_path / "store"
    assert main(["render", "specs/smoke.yaml", "--on", "kind", "--gitops", "--out-dir", str(folder)]) == 0
    import base64

    mounted = tmp_path / "bundle"
    mounted.mkdir()
    for name, text in yaml.safe_load((folder / "bundle.yaml").read_text())["binaryData"].items():
        (mounted / name).write_bytes(base64.b64decode(text))
    call = ["--store", str(store), "--code", bundle("driver").digest, "--bundle", str(mounted)]
    assert "c2f-spec" in boot(tmp_path, *call, "c2f_spec", "--version")
    plan = json.loads((tmp_path / "scratch" / "bundle" / "plan.json").read_text())
    assert plan["name"] == "smoke"
    assert (tmp_path / "scratch" / "bundle" / f"{bundle('stage').digest}.zip").is_file()
    assert not store.exists()


def test_a_reward_added_in_a_pull_request_runs_without_an_image_build(tmp_path):
    """The image's interpreter knows nothing of the new module; the bundle of the changed tree brings it."""
    root = copied(tmp_path)
    (root / "runtime" / "rewards" / "brevity.py").write_text('print("the new reward")\n')
    made = bundle_of(root, "stage")
    assert made.digest != bundle("stage").digest
    store = tmp_path / "store"
    store_bundle(open_store(str(store)), made)
    call = ["--store", str(store), "--code", made.digest]
    assert boot(tmp_path, *call, "runtime.rewards.brevity") == "the new reward\n"
