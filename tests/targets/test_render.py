"""Rendering: pure, valid for every version of Kubernetes, safe to quote, and by the rules of Pod Security."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.errors import StageExit
from c2f_spec.language.document import load_document
from c2f_spec.language.yaml_writer import render_manifest, render_manifests
from c2f_spec.plan.compile import compile_plan, load_environment, load_variants
from c2f_spec.spec.cluster import VERSIONS, KubernetesEnvironment
from c2f_spec.spec.plan_json import Origin
from c2f_spec.spec.quantities import amount, bytes_of, cores
from c2f_spec.targets.kubernetes.manifests import variables
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.manifests.job_shapes import features, pod_failure_policy
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.manifests.validation import KINDS, PATH, manifest_errors, schema_errors
from runtime.process.parallel import available_cores
from tests import kubernetes_schemas

ROOT = Path(__file__).parents[2]
ONE_MACHINE = ("gpu_smoke", "gpu_smoke_transformers")
"""For the GPUs of one machine: real weights on drawn data, which no shipped cluster takes together."""
SPECS = [p for p in sorted((ROOT / "specs").glob("*.yaml")) if p.stem not in ONE_MACHINE]
HOME = {p.stem: "kind" if load_variants(p)[0].experiment.environment == "local" else "a800" for p in SPECS}
"""The cluster of each shipped spec."""


def planned(spec, on, **changes):
    """A plan of a shipped spec in a shipped environment, whose fields may be changed."""
    loaded = load_variants(ROOT / "specs" / f"{spec}.yaml")
    environment = load_environment(on, ROOT, None)
    environment = environment.model_validate({**environment.model_dump(), **changes})
    return compile_plan(loaded, None, environment, on)


def with_placement(plan, kind, **fields):
    """The plan with another placement of one kind of stage."""
    stages = tuple(
        replace(s, placement=s.placement.model_copy(update=fields)) if s.kind == kind else s
        for s in plan.stages
    )
    return replace(plan, stages=stages)


def first(plan, kind):
    return next(s for s in plan.stages if s.kind == kind)


def job_in(objects):
    return next(o for o in objects if o["kind"] == "Job")


def rendered(plan):
    stages = [o for s in plan.stages for o in prepare(plan, s)]
    return [*stages, plan_map(plan), driver_job(plan, "0" * 64)]


# ---- valid


def test_the_packaged_schemas_are_those_of_kubernetes():
    assert PATH.read_text() == kubernetes_schemas.text(), "run python -m tests.kubernetes_schemas"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("spec", [p.stem for p in SPECS])
def test_every_object_of_every_shipped_spec_is_valid(spec, version):
    plan = planned(spec, HOME[spec], kubernetes=version)
    assert manifest_errors(rendered(plan), plan.environment) == []


def test_a_schema_is_strict():
    plan = planned("smoke", "kind")
    job = job_in(prepare(plan, first(plan, "sft")))
    job["spec"]["backofLimit"] = 1
    job["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "X", "value": 1.5})
    told = {w.path for w in schema_errors(job, "1.34")}
    assert "spec" in told
    assert any(re.fullmatch(r"spec\.template\.spec\.containers\[0\]\.env\[\d+\]\.value", p) for p in told)


def test_every_kind_that_is_rendered_has_a_schema_but_volcanos():
    plan = planned("sims_hint", "a800", scheduler={"kind": "volcano", "queue": "q"})
    plan = with_placement(plan, "sft", nodes=2)
    kinds = {f"{o['apiVersion']}/{o['kind']}" for o in rendered(plan)}
    assert kinds - set(KINDS) == {"scheduling.volcano.sh/v1beta1/PodGroup"}


# ---- pure


def test_the_same_bytes_each_time():
    texts = {render_manifests(rendered(planned("sims_hint", "a800"))) for _ in range(2)}
    assert len(texts) == 1


def test_a_stage_that_two_plans_share_has_the_same_bytes_in_both():
    one, two = planned("sims_hint", "a800"), planned("ablations", "a800")
    shared = {s.key for s in one.stages} & {s.key for s in two.stages}
    assert shared
    for key in shared:
        assert prepare(one, one.stage(key)) == prepare(two, two.stage(key))


# ---- what ends a Job


def test_the_failure_policy_says_what_the_table_of_exit_codes_says():
    disrupted, fatal, stopped = pod_failure_policy(features("1.34"))["rules"]
    assert disrupted == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert (fatal["action"], stopped["action"]) == ("FailJob", "Ignore")
    assert set(fatal["onExitCodes"]["values"]) == {c for c in StageExit if c.permanent} | {137}
    assert stopped["onExitCodes"]["values"] == [StageExit.STOPPED]
    named = {*fatal["onExitCodes"]["values"], *stopped["onExitCodes"]["values"]}
    assert StageExit.TRANSIENT not in named, "counted"
    plan = planned("smoke", "kind")
    pod = job_in(prepare(plan, first(plan, "sft")))["spec"]["template"]["spec"]
    assert fatal["onExitCodes"]["containerName"] in [c["name"] for c in pod["containers"]]
    assert pod["restartPolicy"] == "Never"


def test_only_an_explicit_limit_ends_a_job_that_works():
    plan = planned("sims_hint", "a800")
    assert "activeDeadlineSeconds" not in job_in(prepare(plan, first(plan, "grpo")))["spec"]
    plan = planned("sims_hint", "a800", limits={"deadline_seconds": 3600})
    assert job_in(prepare(plan, first(plan, "grpo")))["spec"]["activeDeadlineSeconds"] == 3600


# ---- shapes


def test_a_sharded_stage_is_an_indexed_job_with_retries_of_each_shard():
    plan = with_placement(planned("sims_hint", "a800"), "evaluate", shards=4)
    spec = job_in(prepare(plan, first(plan, "evaluate")))["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert spec["backoffLimitPerIndex"] == 6
    assert "backoffLimit" not in spec
    old = with_placement(planned("sims_hint", "a800", kubernetes="1.28"), "evaluate", shards=4)
    spec = job_in(prepare(old, first(old, "evaluate")))["spec"]
    assert "backoffLimitPerIndex" not in spec
    assert spec["backoffLimit"] == 24
    assert "podReplacementPolicy" not in spec


def test_several_nodes_meet_at_a_stable_name():
    plan = with_placement(planned("sims_hint", "a800"), "grpo", nodes=2, gpus=8)
    stage = first(plan, "grpo")
    objects = prepare(plan, stage)
    assert [o["kind"] for o in objects] == ["ConfigMap", "Service", "Job"]
    service, job = objects[1:]
    name = job["metadata"]["name"]
    pod = job["spec"]["template"]["spec"]
    env = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    port = service["spec"]["ports"][0]["port"]
    assert env["C2F_RENDEZVOUS"] == f"{name}-0.{service['metadata']['name']}.c2f.svc:{port}"
    assert env["C2F_NODES"] == "2"
    assert env["NCCL_IB_HCA"] == "mlx5"
    asked = pod["containers"][0]["resources"]["limits"]
    assert asked["nvidia.com/gpu"] == "8"
    assert asked["rdma/hca_shared_devices_a"] == "1"
    assert "backoffLimitPerIndex" not in job["spec"]
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kueue.x-k8s.io/podset-preferred-topology": "topology.example.org/rack"}
    assert manifest_errors(objects, plan.environment) == []


def test_vllm_is_a_native_sidecar_and_the_client_beside_it():
    plan = planned("vllm_teacher", "a800") if (ROOT / "specs/vllm_teacher.yaml").exists() else served()
    objects = prepare(plan, first(plan, "distil"))
    pod = job_in(objects)["spec"]["template"]["spec"]
    weights, server = pod["initContainers"]
    client = pod["containers"][0]
    assert "restartPolicy" not in weights
    assert server["restartPolicy"] == "Always"
    assert server["startupProbe"]["failureThreshold"] * server["startupProbe"]["periodSeconds"] == 1800
    assert server["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in client["resources"]["limits"]
    (stage,) = (o for o in objects if o["kind"] == "ConfigMap" and "stage.json" in o.get("data", {}))
    endpoint = json.loads(stage["data"]["stage.json"])["placement"]["endpoint"]
    assert endpoint["url"] == "http://127.0.0.1:8000/v1"
    assert server["command"][:3] == ["vllm", "serve", "/scratch/weights"]
    whole = plan.environment.pools["a800"]
    asked = [
        amount(c["resources"]["limits"]["memory"]) for c in (server, client)
    ]  # `weights` ends before they start
    assert sum(asked) <= amount(whole.memory) / 4
    assert manifest_errors(objects, plan.environment) == []


def served(**changes):
    """sims_hint with its teacher behind vLLM."""
    settings = ("teacher.kind=vllm", "teacher.tensor_parallel=2")
    loaded = load_variants(ROOT / "specs" / "sims_hint.yaml", settings)
    environment = load_environment("a800", ROOT, None)
    environment = environment.model_validate({**environment.model_dump(), **changes})
    plan = compile_plan(loaded, None, load_environment("a800", ROOT, None), "a800")
    stages = [
        replace(s, placement=s.placement.model_copy(update={"image": environment.image})) for s in plan.stages
    ]
    return replace(plan, environment=environment, stages=tuple(stages))


# ---- schedulers


def test_kueue_owns_suspend_and_is_told_queue_and_priority():
    plan = planned("sims_hint", "a800")
    job = job_in(prepare(plan, first(plan, "sft")))
    assert job["spec"]["suspend"] is True
    labels = job["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "c2f-a800"
    assert labels["kueue.x-k8s.io/priority-class"] == "c2f-research"
    assert not any(k.startswith("kueue") for k in job["spec"]["template"]["metadata"]["labels"])
    assert "suspend" not in driver_job(plan, "0" * 64)["spec"], "the driver waits in no queue"


def test_volcano_gets_a_group_of_pods_that_start_together():
    plan = planned("sims_hint", "a800", scheduler={"kind": "volcano", "queue": "q", "priority": "p"})
    plan = with_placement(plan, "sft", nodes=2)
    _, _, group, job = prepare(plan, first(plan, "sft"))
    assert group["spec"] == {"minMember": 2, "queue": "q", "priorityClassName": "p"}
    template = job["spec"]["template"]
    assert template["metadata"]["annotations"]["scheduling.k8s.io/group-name"] == group["metadata"]["name"]
    assert template["spec"]["schedulerName"] == "volcano"


# ---- names and amounts


def test_names_fit_and_are_content_derived():
    plan = planned("paper", "a800")
    for stage in plan.stages:
        for item in prepare(plan, stage, retries=12):
            assert item["metadata"]["name"] == f"{stage.kind}-{stage.key[:10]}-r12"
            assert len(item["metadata"]["name"]) <= 52
            values = [*item["metadata"]["labels"].values(), *item["metadata"]["labels"]]
            assert all(len(v.rpartition("/")[2].encode()) <= 63 for v in values)
            assert item["metadata"]["annotations"]["c2f-spec/key"] == stage.key


def test_no_quantity_is_a_number():
    plan = planned("sims_hint", "a800")
    for item in rendered(plan):
        for container in containers(item):
            for amounts in container["resources"].values():
                assert all(isinstance(v, str) for v in amounts.values())
            assert container["resources"]["requests"] == container["resources"]["limits"]


def containers(item):
    pod = item["spec"]["template"]["spec"] if item["kind"] == "Job" else {}
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


def test_a_stage_is_told_how_many_cores_are_its_own(monkeypatch):
    plan = planned("sims_hint", "a800")
    for kind, its in (("prepare", "8"), ("sft", "56")):
        [container] = containers(job_in(prepare(plan, first(plan, kind))))
        assert {"name": "C2F_CORES", "value": its} in container["env"]
        assert container["resources"]["limits"]["cpu"] == its
    seen = available_cores()
    monkeypatch.setenv("C2F_CORES", "1")
    assert available_cores() == 1
    monkeypatch.setenv("C2F_CORES", "100000")
    assert available_cores() == seen


def test_a_stage_without_gpus_in_a_pool_with_them_takes_the_share_of_one():
    plan = with_placement(planned("sims_hint", "a800"), "filter", pool="a800")
    [container] = containers(job_in(prepare(plan, first(plan, "filter"))))
    asked = container["resources"]["limits"]
    assert "nvidia.com/gpu" not in asked
    assert asked["cpu"] == "14"
    assert asked["memory"] == "115200Mi"


def test_parts_of_quantities():
    from fractions import Fraction

    half = Fraction(1, 2)
    assert (cores("112", half), cores("500m"), cores("1.5", half)) == ("56", "500m", "750m")
    assert (bytes_of("900Gi", half), bytes_of("1Gi", Fraction(1, 3))) == ("450Gi", "341Mi")
    assert bytes_of("1T") == "953674Mi"


# ---- nothing is accepted and ignored


POOL = {"gpus": 8, "cpu": "112", "memory": "900Gi", "ephemeral_storage": "1500Gi"}
RDMA = {"resource": "rdma/hca_shared_devices_a"}
CHANGES = {
    "namespace": "team",
    "store": "s3://other/store",
    "access": [
        {"endpoint": "https://s3.example.org"}, {"region": "cn-north-1"}, {"addressing": "virtual"},
        {"secret": None}, {"ca": "authorities"},
    ],
    "tracking_secret": "notify",
    "image": f"r.example.org/other@sha256:{'1' * 64}",
    "driver_image": f"r.example.org/other@sha256:{'1' * 64}",
    "vllm_image": f"r.example.org/other@sha256:{'1' * 64}",
    "python": "/opt/python",
    "pull_secrets": ("other",),
    "service_account": "other",
    "driver_service_account": "other",
    "run_as_user": None,
    "scheduler": [
        {"kind": "kueue", "queue": "other"}, {"kind": "kueue", "queue": "c2f-a800", "priority": "other"},
        {"kind": "default", "priority": "p"}, {"kind": "volcano", "queue": "q"},
        {"kind": "volcano", "queue": "q", "priority": "p"},
    ],
    "pools": [
        {**POOL, "resource": "example.org/gpu"}, {**POOL, "node_selector": {"a": "b"}},
        {**POOL, "tolerations": [{"key": "a", "value": "b"}]}, {**POOL, "cpu": "8"}, {**POOL, "memory": "800Gi"},
        {**POOL, "ephemeral_storage": "8Gi"}, {**POOL, "shm": "2Gi"}, {**POOL, "nccl": {"NCCL_IB_HCA": "a"}},
        {**POOL, "rdma": RDMA}, {**POOL, "rdma": {**RDMA, "count": 2}},
        {**POOL, "rdma": {**RDMA, "networks": "ib"}},
    ],
    "secrets": {
        "store": {"name": "other", "env": {"AWS_ACCESS_KEY_ID": "a"}},
        "notify": {"name": "c2f-notify", "env": {"C2F_NOTIFY_URL": "url"}},
    },
    "proxies": [{"http": "http://p"}, {"https": "http://p"}, {"http": "http://p", "no_proxy": (".svc",)}],
    "node_cache": {"kind": "pvc", "claim": "cache"},
    "notify": None,
    "limits": [{"deadline_seconds": 9}, {"retries": 1}, {"grace_seconds": 9}, {"ttl_seconds": 9}],
    "driver": [{"cpu": "1"}, {"memory": "1Gi"}, {"ephemeral_storage": "2Gi"}],
    "pod_template": {"spec": {"runtimeClassName": "nvidia"}},
    "kubernetes": "1.28",
}  # fmt: skip
ELSEWHERE = {
    "c2f", "kind", "pod_security", "tracking", "nvidia_driver", "cpu_pool", "policy", "demo", "engine_image",
}  # fmt: skip
"""Judged when an environment is compiled, part of placements (tests/plan/test_placement.py), or read by the driver out of the
plan.
"""


def all_of(**changes):
    """Text of a plan with training on two nodes and a teacher behind vLLM."""
    plan = served(**changes)
    plan = with_placement(plan, "sft", nodes=2, gpus=8)
    return render_manifests(rendered(plan))


def test_every_field_of_an_environment_does_something():
    texts = {all_of()}
    for name, change in CHANGES.items():
        for value in change if isinstance(change, list) else [change]:
            if name == "pools":
                value = {"a800": value, "cpu": {**POOL, "gpus": 0}}  # noqa: PLW2901
            text = all_of(**{name: value})
            assert text not in texts, (name, value)
            texts.add(text)
    assert set(CHANGES) | ELSEWHERE == set(KubernetesEnvironment.model_fields)


# ---- avoid


def test_a_node_whose_hardware_failed_is_avoided():
    plan = planned("sims_hint", "a800")
    stage = first(plan, "sft")
    pod = job_in(prepare(plan, stage, avoid=("gpu-7", "gpu-3", "gpu-7")))["spec"]["template"]["spec"]
    [term] = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    fields = term["matchFields"]
    assert [f["values"] for f in fields] == [["gpu-3"], ["gpu-7"]], "the API server takes one value each"
    assert {f["operator"] for f in fields} == {"NotIn"}


def test_what_the_environment_lays_over_a_pod_is_typed_merged_and_checked():
    text = """
metadata: {labels: {team: speech}}
spec:
  runtimeClassName: nvidia
  hostAliases: [{ip: 10.0.0.9, hostnames: [registry.inside]}]
  tolerations: [{key: maintenance, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: rack, operator: In, values: [a]}]}]
  containers:
    - name: stage
      env: [{name: FI_PROVIDER, value: "1"}, {name: OMP_NUM_THREADS, value: "8"}]
      volumeMounts: [{name: extra, mountPath: /extra, readOnly: true}]
  volumes: [{name: extra, configMap: {name: extra, defaultMode: 292}}]
"""
    plan = planned("sims_hint", "a800", pod_template=load_document(text.encode(), "e.yaml").data)
    objects = prepare(plan, first(plan, "sft"), avoid=("gpu-7",))
    assert manifest_errors(objects, plan.environment) == []
    template = job_in(objects)["spec"]["template"]
    pod, [container] = template["spec"], template["spec"]["containers"]
    assert template["metadata"]["labels"]["team"] == "speech"
    assert template["metadata"]["labels"]["c2f-spec/kind"] == "sft", "ours stay"
    assert pod["tolerations"][0]["tolerationSeconds"] == 300, "a list without names is replaced"
    assert pod["volumes"][-1]["configMap"]["defaultMode"] == 292
    env = [e["name"] for e in container["env"]]
    assert env.count("OMP_NUM_THREADS") == 1
    assert {"name": "OMP_NUM_THREADS", "value": "8"} in container["env"]
    assert container["image"] == plan.environment.image
    [term] = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert set(term) == {"matchExpressions", "matchFields"}


@pytest.mark.parametrize(
    ("patch", "path", "says"),
    [
        ({"spec": {"hostUsers": "maybe"}}, "spec.template.spec.hostUsers", "is not of types"),
        ({"spec": {"affinity": {"nodAffinity": {}}}}, "spec.template.spec.affinity", "nodAffinity"),
        (
            {"spec": {"volumes": [{"name": "h", "hostPath": {"path": "/data"}}]}},
            "spec.template.spec.volumes[4].hostPath",
            "host paths are not allowed (Pod Security `restricted`)",
        ),
        (
            {"spec": {"securityContext": {"runAsUser": "0"}}},
            "spec.template.spec.securityContext.runAsUser",
            "root is not allowed",
        ),
    ],
)
def test_what_the_server_would_refuse_is_refused_here(patch, path, says):
    plan = planned("sims_hint", "a800", pod_template=patch)
    found = manifest_errors(prepare(plan, first(plan, "sft")), plan.environment)
    assert [c.path for c in found] == [path]
    assert says in found[0].message


def test_a_weaker_level_of_pod_security_admits_more():
    patch = {"spec": {"volumes": [{"name": "n", "nfs": {"server": "s", "path": "/p"}}]}}
    plan = planned("sims_hint", "a800", pod_template=patch)
    assert manifest_errors(prepare(plan, first(plan, "sft")), plan.environment)
    plan = planned("sims_hint", "a800", pod_template=patch, pod_security="baseline")
    assert manifest_errors(prepare(plan, first(plan, "sft")), plan.environment) == []


# ---- quoting


TRICKY = [
    "",
    "no",
    "NO",
    "Null",
    "~",
    "1e-5",
    "0644",
    "0x1F",
    "1:30",
    "12e03",
    ".5",
    "-",
    "- a",
    "a: b",
    "a #b",
    "#",
    "'",
    '"',
    "\\",
    "a\nb",
    "a\n",
    "a\n\n",
    " a\n",
    "a \nb\n",
    "a\n  \nb\n",
    "\t",
    "a\tb\n",
    "é",
    "中",
    "\u2028",
    "\x85",
    "\x7f",
    "\x00",
    "\U0001f600",
    "=",
    "<<",
    "yes",
    "y",
    "!!str a",
    "&a",
    "*a",
    "@a",
    "`a",
    "%a",
    "a:",
    "---",
    "...",
    "?",
    "2001-01-01",
    "$(HOME)",
]


def loads(text):
    """The text as YAML 1.1 and as YAML 1.2 read it."""
    import yaml
    from ruamel.yaml import YAML

    modern = YAML(typ="safe", pure=True)
    modern.version = (1, 2)
    return yaml.safe_load(text), json.loads(json.dumps(modern.load(text)))


@pytest.mark.parametrize("text", TRICKY)
def test_text_stays_what_it_is(text):
    item = {"a": text, "b": [text, {"c": text, text: text}], "e": {}, "f": []}
    for read in loads(render_manifest(item)):
        assert read == item


WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, min_size=1, max_size=3))
def test_whatever_is_emitted_is_read_back_by_both_versions_of_yaml(item):
    for read in loads(render_manifest(item)):
        assert read == item


def expanded(text, known):
    """The kubelet's expansion of `$(NAME)` (third_party/forked/golang/expansion)."""
    out, at = [], 0
    while at < len(text):
        if text[at] == "$" and at + 1 < len(text):
            if text[at + 1] == "$":
                out.append("$")
                at += 2
                continue
            end = text.find(")", at) if text[at + 1] == "(" else -1
            if end > 0:
                out.append(known.get(text[at + 2 : end], text[at : end + 1]))
                at = end + 1
                continue
        out.append(text[at])
        at += 1
    return "".join(out)


@given(st.text("$()AB;\n ", max_size=12))
def test_the_kubelet_leaves_a_value_as_it_is(text):
    assert expanded(variables.literal(text), {"A": "expanded", "": "expanded"}) == text


def test_a_stage_is_told_who_launched_it_and_is_the_same_job_from_any_commit():
    plan = planned("smoke", "kind")
    made = []
    for commit in ("a" * 40, "b" * 40):
        origin = Origin(version="1", commit=commit, author="Mei", argv=())
        job = prepare(replace(plan, origin=origin), plan.stages[0])[-1]
        (stage,) = job["spec"]["template"]["spec"]["containers"]
        told = {e["name"]: e.get("value") for e in stage["env"]}
        made.append((told["C2F_ORIGIN"], job["metadata"]["annotations"]))
    assert made[0][0] != made[1][0]
    assert made[0][1] == made[1][1] == prepare(plan, plan.stages[0])[-1]["metadata"]["annotations"]
