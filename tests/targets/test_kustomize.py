"""The folder k8s/: it builds, it is valid, it is least privilege, and rendering uses no name that it does not have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from c2f_spec.plan.compile import load_environment
from c2f_spec.spec.cluster import VERSIONS
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.manifests.security import violations
from tests import kubernetes_schemas
from tests.support.rights import granted
from tests.targets.test_render import first, planned, prepare

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
KUBECTL = Path(sys.executable).parent / "kubectl"
FOLDERS = sorted(p.parent.relative_to(ROOT).as_posix() for p in K8S.rglob("kustomization.yaml"))
NAMESPACED = {"Role", "RoleBinding", "ServiceAccount", "NetworkPolicy"}


@cache
def built(folder):
    """The objects of a kustomization, as kubectl builds them."""
    done = subprocess.run([KUBECTL, "kustomize", ROOT / folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def everything():
    return [o for folder in FOLDERS for o in built(folder)]


def of_kind(kind, folder="k8s"):
    return [o for o in built(folder) if o["kind"] == kind]


def named(kind, name, folder="k8s"):
    return next(o for o in of_kind(kind, folder) if o["metadata"]["name"] == name)


# ---- valid


@cache
def kubernetes(version):
    definitions = kubernetes_schemas.source(version)
    return {name: kubernetes_schemas.plain(value) for name, value in definitions.items()}


def definition_of(item, version):
    """Kubernetes' name of the schema of an object."""
    group, _, number = item["apiVersion"].rpartition("/")
    package = group.removesuffix(".k8s.io").partition(".")[0] or "core"
    return f"io.k8s.api.{package}.{number}.{item['kind']}"


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_in_k8s_is_valid(folder, version):
    for item in built(folder):
        if ".x-k8s.io" in item["apiVersion"] or ".volcano.sh" in item["apiVersion"]:
            continue
        schema = {"$ref": f"#/$defs/{definition_of(item, version)}", "$defs": kubernetes(version)}
        assert not [e.message for e in jsonschema_rs.Draft7Validator(schema).iter_errors(item)], item[
            "metadata"
        ]


@cache
def crds():
    found = {}
    for path in (ROOT / "tests" / "data" / "kueue").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        for version in crd["spec"]["versions"]:
            found[f"kueue.x-k8s.io/{version['name']}", crd["spec"]["names"]["kind"]] = (
                version["schema"]["openAPIV3Schema"],
                crd["spec"]["scope"],
            )
    return found


def closed(schema):
    """As the API server reads it with `fieldValidation=Strict`: no unknown fields; `x-` rules are not for us."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {
        k: closed(v)
        for k, v in schema.items()
        if not k.startswith("x-") and k not in ("format", "description")
    }
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        out["properties"] = {k: closed(v) for k, v in schema["properties"].items()}
        out.setdefault("additionalProperties", False)
    return out


def test_the_queues_are_valid_for_kueue():
    checked = []
    for item in built("k8s/overlays/kueue"):
        if item["apiVersion"].startswith("kueue.x-k8s.io"):
            assert item["apiVersion"] == "kueue.x-k8s.io/v1beta2", "v1beta1 is deprecated"
            schema, scope = crds()[item["apiVersion"], item["kind"]]
            schema = closed(schema)
            schema["properties"]["metadata"] = {"type": "object"}
            found = [
                f"{e.instance_path}: {e.message}"
                for e in jsonschema_rs.Draft7Validator(schema).iter_errors(item)
            ]
            assert not found, item["metadata"]
            assert ("namespace" in item["metadata"]) == (scope == "Namespaced")
            checked.append(item["kind"])
    assert set(checked) == {
        "ClusterQueue", "LocalQueue", "ResourceFlavor", "Topology", "WorkloadPriorityClass"
    }  # fmt: skip


def test_the_base_needs_no_cluster_administrator():
    assert {o["kind"] for o in built("k8s")} == NAMESPACED
    assert {o["metadata"]["namespace"] for o in built("k8s")} == {"c2f"}
    [binding] = of_kind("RoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "c2f-driver", "namespace": "c2f"}]


def test_another_namespace_is_one_line(tmp_path):
    folder = tmp_path / "k8s"
    shutil.copytree(K8S / "base", folder / "base")
    text = (K8S / "kustomization.yaml").read_text()
    (folder / "kustomization.yaml").write_text(text.replace("namespace: c2f\n", "namespace: team\n"))
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=True)
    objects = list(yaml.safe_load_all(done.stdout))
    assert {o["metadata"]["namespace"] for o in objects} == {"team"}
    [binding] = [o for o in objects if o["kind"] == "RoleBinding"]
    assert [s["namespace"] for s in binding["subjects"]] == ["team"]


# ---- least privilege


def test_roles_name_every_right_and_none_that_is_dangerous():
    for role in (o for o in everything() if o["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
            assert not {"secrets", "roles", "rolebindings", "serviceaccounts/token"} & set(rule["resources"])
    driver = named("Role", "c2f-driver")
    assert "pods/exec" not in [r for rule in driver["rules"] for r in rule["resources"]]
    pods = next(rule for rule in driver["rules"] if rule["resources"] == ["pods"])
    assert set(pods["verbs"]) == {"get", "list", "watch"}, "it makes Jobs, never pods"


def test_only_the_driver_has_a_token():
    for account in of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    plan = planned("smoke", "kind")
    jobs = [o for s in plan.stages for o in prepare(plan, s) if o["kind"] == "Job"]
    assert not any(j["spec"]["template"]["spec"]["automountServiceAccountToken"] for j in jobs)
    assert driver_job(plan, "0" * 64)["spec"]["template"]["spec"]["automountServiceAccountToken"]
    bound = [s["name"] for b in of_kind("RoleBinding") for s in b["subjects"]]
    assert bound == ["c2f-driver"]


def test_the_driver_may_do_all_that_the_code_does_to_what_it_makes():
    plan = planned("sims_hint", "a800", scheduler={"kind": "volcano", "queue": "c2f-a800"})
    stages = [o for s in plan.stages for o in prepare(plan, s)]
    roles = [named("Role", "c2f-driver"), named("Role", "c2f-driver-volcano", "k8s/overlays/volcano")]
    rights = granted(*roles)
    for item in [*stages, plan_map(plan)]:
        group, resource = item["apiVersion"].rpartition("/")[0], f"{item['kind'].lower()}s"
        assert {(group, resource, verb) for verb in ("get", "create", "patch", "delete")} <= rights


# ---- network


def selects(policy, labels):
    return policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_every_pod_of_ours_is_denied_first_and_then_let_to_the_store():
    policies = of_kind("NetworkPolicy")
    plan = planned("smoke", "kind")
    stage = prepare(plan, first(plan, "sft"))[-1]["spec"]["template"]["metadata"]["labels"]
    driver = driver_job(plan, "0" * 64)["spec"]["template"]["metadata"]["labels"]
    for labels in (stage, driver):
        held = {p["metadata"]["name"] for p in policies if selects(p, labels)}
        assert {"c2f-deny", "c2f-names", "c2f-store"} <= held
    assert "c2f-training" in {p["metadata"]["name"] for p in policies if selects(p, stage)}
    assert "c2f-driver" in {p["metadata"]["name"] for p in policies if selects(p, driver)}
    deny = named("NetworkPolicy", "c2f-deny")
    assert set(deny["spec"]) == {"podSelector", "policyTypes"}
    assert not any(selects(p, {"app": "somebody else's"}) for p in policies), (
        "a shared namespace stays as it was"
    )


def test_no_policy_of_the_base_opens_the_address_of_a_clouds_credentials():
    for policy in of_kind("NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            for to in rule.get("to", ()):
                assert "ipBlock" not in to or "169.254.0.0/16" in to["ipBlock"]["except"]


def test_a_store_in_the_cluster_is_reached_whatever_the_network_plugin_calls_its_pods():
    [rule] = named("NetworkPolicy", "c2f-store")["spec"]["egress"]
    ports = {p["port"] for p in rule["ports"]}
    assert {"namespaceSelector": {}} in rule["to"]
    for name in ("a800", "kind"):
        endpoint = load_environment(name, ROOT, None).access.endpoint
        assert int(endpoint.rpartition(":")[2]) in ports


# ---- names


def test_render_uses_no_name_that_k8s_does_not_have():
    environment = load_environment("a800", ROOT, None)
    plan = planned("sims_hint", "a800")
    pods = [
        o["spec"]["template"]["spec"] for s in plan.stages for o in prepare(plan, s) if o["kind"] == "Job"
    ]
    accounts = {
        p["serviceAccountName"] for p in [*pods, driver_job(plan, "0" * 64)["spec"]["template"]["spec"]]
    }
    assert accounts == {o["metadata"]["name"] for o in of_kind("ServiceAccount")}
    assert environment.namespace == named("Namespace", "c2f", "k8s/overlays/namespace")["metadata"]["name"]

    kueue = "k8s/overlays/kueue"
    assert (
        named("LocalQueue", environment.scheduler.queue, kueue)["metadata"]["namespace"]
        == environment.namespace
    )
    assert named("WorkloadPriorityClass", environment.scheduler.priority, kueue)
    levels = [level["nodeLabel"] for level in named("Topology", "c2f", kueue)["spec"]["levels"]]
    assert environment.scheduler.topology.level in levels
    pool = environment.pools["a800"]
    assert named("ResourceFlavor", "c2f-a800", kueue)["spec"]["nodeLabels"] == pool.node_selector
    [group] = named("ClusterQueue", "c2f-a800", kueue)["spec"]["resourceGroups"]
    asked = {r for p in pods for c in p["containers"] for r in c["resources"]["requests"]}
    assert asked | {pool.rdma.resource} <= set(group["coveredResources"]), (
        "a resource without quota waits for ever"
    )
    for class_ in ("c2f-research", "c2f-urgent"):
        assert named("PriorityClass", class_, "k8s/overlays/priorities")
    devices = json.loads(built("k8s/overlays/rdma")[0]["data"]["config.json"])["configList"][0]
    assert f"{devices['resourcePrefix']}/{devices['resourceName']}" == pool.rdma.resource
    assert named("PersistentVolumeClaim", "c2f-cache", "k8s/overlays/node-cache")


def test_secrets_of_the_environments_are_made_by_the_readme():
    text = (K8S / "README.md").read_text()
    for name in ("a800", "kind"):
        environment = load_environment(name, ROOT, None)
        store = environment.secrets["store"]
        for word in (store.name, *store.env.values(), *environment.pull_secrets):
            assert word in text
    external = yaml.safe_load((K8S / "examples" / "external-secrets.yaml").read_text())
    assert {d["secretKey"] for d in external["spec"]["data"]} == set(store.env.values())


# ---- images


@pytest.mark.parametrize("path", sorted(K8S.glob("*Dockerfile")), ids=lambda p: p.name)
def test_images_run_as_nobody_and_are_made_of_images_by_digest(path):
    text = path.read_text()
    instructions = [line for line in text.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert [line for line in instructions if line.startswith("USER")] == ["USER 10001:0"]
    bases = [line.split()[1] for line in instructions if line.startswith("FROM")]
    assert all(base.startswith("${") for base in bases)
    for base in set(bases):
        name = base.strip("${}")
        assert f'case "${{{name}}}" in *@sha256:*)' in text, "checked when it is built"
    assert "PIP_INDEX_URL" in text
    assert "c2f_spec /opt" not in text


def test_requirements_of_the_images_have_hashes_and_our_versions():
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    for path in (K8S / "requirements").glob("*.txt"):
        blocks = re.findall(
            r"^([a-zA-Z0-9_.-]+)(?:\[.*?\])?==(\S+)(.*?)(?=^\S|\Z)",
            path.read_text(),
            re.MULTILINE | re.DOTALL,
        )
        assert blocks
        for name, version, rest in blocks:
            assert "--hash=sha256:" in rest, name
            if name in pins and name not in ("torch", "torchvision", "triton"):
                assert version == pins[name], f"{path.name}: run k8s/requirements/make.py"


def test_the_gpu_image_is_of_cuda_12():
    text = (K8S / "requirements" / "runtime.txt").read_text()
    assert re.search(r"^nvidia-cuda-runtime-cu12==12\.", text, re.MULTILINE)
    assert not re.search(r"^nvidia-\S+-cu13==", text, re.MULTILINE)
    assert "cuda:12." in (K8S / "Dockerfile").read_text()


# ---- examples


def test_minio_of_the_example_passes_restricted():
    [deployment] = [
        o
        for o in yaml.safe_load_all((K8S / "examples" / "minio.yaml").read_text())
        if o["kind"] == "Deployment"
    ]
    assert violations(deployment["spec"]["template"]["spec"], "restricted") == []
    [service] = [
        o for o in yaml.safe_load_all((K8S / "examples/minio.yaml").read_text()) if o["kind"] == "Service"
    ]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"
    assert load_environment("kind", ROOT, None).access.endpoint == f"http://{host}"


def allowed(policy, action, resource):
    """What IAM would say: a deny wins."""
    verdicts = set()
    for statement in policy["Statement"]:
        if not any(fnmatch(action, a) for a in statement["Action"]):
            continue
        inside = any(fnmatch(resource, r) for r in statement.get("Resource", statement.get("NotResource")))
        if inside == ("Resource" in statement):
            verdicts.add(statement["Effect"])
    return verdicts == {"Allow"}


KEY = "0" * 64
STORE = "arn:aws:s3:::c2f/store"


@pytest.mark.parametrize(
    ("role", "may", "path", "verdict"),
    [
        ("stage", "Get", f"datasets/ch-sims/{KEY}/files/a.mp4", True),
        ("stage", "Put", f"records/sft/{KEY}.json", True),
        ("stage", "Put", f"failures/sft/{KEY}/0.json", True),
        ("stage", "Put", f"work/sft/{KEY}/attempts/a/model.safetensors", True),
        ("stage", "Put", f"datasets/ch-sims/{KEY}/dataset.json", False),
        ("stage", "Put", f"code/{KEY}.zip", False),
        ("stage", "Put", f"plans/{KEY}/plan.json", False),
        ("stage", "Delete", f"work/sft/{KEY}/checkpoints/step-10/manifest.json", True),
        ("stage", "Delete", f"work/sft/{KEY}/attempts/a/model.safetensors", False),
        ("stage", "Delete", f"records/sft/{KEY}.json", False),
        ("driver", "Put", f"plans/{KEY}/plan.json", True),
        ("driver", "Put", f"code/{KEY}.zip", True),
        ("driver", "Put", f"models/a/{KEY}/model.safetensors", False),
        ("driver", "Delete", f"work/sft/{KEY}/progress.json", False),
        ("people", "Put", f"datasets/ch-sims/{KEY}/dataset.json", True),
        ("people", "Delete", f"work/sft/{KEY}/attempts/a/model.safetensors", True),
        ("people", "Delete", f"records/sft/{KEY}.json", False),
    ],
)
def test_bucket_policies(role, may, path, verdict):
    policy = json.loads((K8S / "examples" / "bucket-policies" / f"{role}.json").read_text())
    assert allowed(policy, f"s3:{may}Object", f"{STORE}/{path}") is verdict


def test_labels_of_kustomize_do_not_hide_ours():
    for item in built("k8s"):
        assert item["metadata"]["labels"].get(names.MANAGED_BY) is None, (
            "`delete` takes what we made, not this"
        )
