"""Build the objects that run a stage of a plan. Pure.

- an immutable ConfigMap with the stage's file and the script that fetches the code (`boot.py`)
- a Job; for several nodes also a headless Service; for Volcano also a PodGroup

All have one name, `<kind>-<start of the key>-r<retries>`.
"""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import content_key
from c2f_spec.plan.model import ORIGIN_VARIABLE, origin_digest
from c2f_spec.plan.model_servers import secret_of
from c2f_spec.spec.handoff import Input, StageFile
from c2f_spec.spec.teacher import VllmTeacher
from c2f_spec.targets.kubernetes.manifests import job_shapes, names, variables
from c2f_spec.targets.kubernetes.manifests import pod as pod_module
from c2f_spec.targets.kubernetes.manifests.job_shapes import features, pod_failure_policy
from c2f_spec.targets.kubernetes.manifests.pod import STAGE_FOLDER, avoid_nodes, pod_template, with_pod_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.spec.experiment import Experiment

BOOT = Path(__file__).with_name("boot.py")


def prepare(plan: Plan, stage: Stage, *, retries: int = 0, avoid: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the objects of a stage, in the order in which they are created; the Job is last.

    `retries` is the number of retries that were requested; `avoid` are names of nodes whose hardware failed it.
    """
    environment = plan.environment
    assert environment.kind == "kubernetes"
    name, labels = names.job_name(stage, retries), names.stage_labels(stage)
    text = stage_file(plan, stage)
    config = config_map(environment, stage, name, labels, text)
    job = job_of(environment, plan, stage, name, labels, text=text, avoid=avoid)
    objects = [config]
    if stage.placement.nodes > 1:
        objects.append(job_shapes.headless_service(name, environment.namespace, labels))
    objects += job_shapes.pod_group(job, environment, stage)
    objects.append(job)
    return [with_digest(item) for item in objects]


def stage_file(plan: Plan, stage: Stage) -> str:
    """Return `stage.json`, the same bytes for every plan that has this stage in this environment."""
    file = StageFile(
        kind=stage.kind,
        key=stage.key,
        name=stage.name,
        preimage=stage.preimage,
        placement=stage.placement,
        inputs={role: Input(kind=plan.stage(key).kind, key=key) for role, key in stage.inputs.items()},
        store=plan.environment.store,
        scratch=f"{variables.SCRATCH}/work",
        code=stage.code,
    )
    return file.model_dump_json(indent=1) + "\n"


def config_map(
    environment: KubernetesEnvironment, stage: Stage, name: str, labels: dict[str, str], text: str
) -> dict[str, Any]:
    """Return the ConfigMap that the pods mount. Immutable: what was reviewed is what runs, and nodes need not watch it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(environment, stage, name, labels),
        "immutable": True,
        "data": {"boot.py": boot_script(), "stage.json": text},
    }


def job_of(
    environment: KubernetesEnvironment,
    plan: Plan,
    stage: Stage,
    name: str,
    labels: dict[str, str],
    *,
    text: str,
    avoid: Sequence[str],
) -> dict[str, Any]:
    """Return the Job of a stage."""
    placement, limits, able = stage.placement, environment.limits, features(environment.kubernetes)
    pool = environment.pools[placement.pool or environment.cpu_pool]
    extra = variables.values({ORIGIN_VARIABLE: origin_digest(plan.origin)}) if plan.origin else []
    if placement.nodes > 1:
        extra += variables.values(job_shapes.rendezvous(stage, name, environment))
    teacher = teacher_of(plan, stage)
    if stage.placement.endpoint is not None:
        extra += variables.secret(environment, secret_of(experiment_of(plan, stage), stage.kind))
    template = pod_template(
        environment,
        stage,
        pool,
        name=name,
        labels=dict(labels),
        command=command(environment, stage, text),
        extra=extra,
    )
    if isinstance(teacher, VllmTeacher):
        pod_module.add_vllm_sidecar(template["spec"], environment, teacher)
    if placement.nodes > 1:
        template["spec"]["subdomain"] = name
        if attached := job_shapes.network_annotations(pool):
            template["metadata"]["annotations"] = attached
        shape = job_shapes.several_nodes(placement.nodes, limits.retries)
    elif placement.shards > 1:
        shape = job_shapes.sharded(placement.shards, limits.retries, able)
    else:
        shape = job_shapes.single_pod(limits.retries)
    deadline = {"activeDeadlineSeconds": limits.deadline_seconds} if limits.deadline_seconds else {}
    replacement = {"podReplacementPolicy": "Failed"} if able.pod_replacement_policy else {}
    job: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(environment, stage, name, dict(labels)),
        "spec": {
            **shape,
            **deadline,
            "ttlSecondsAfterFinished": limits.ttl_seconds,
            "podFailurePolicy": pod_failure_policy(able),
            **replacement,
            "template": template,
        },
    }
    job_shapes.add_scheduler_fields(job, environment, stage)
    job["spec"]["template"] = with_pod_patch(job["spec"]["template"], environment)
    avoid_nodes(job["spec"]["template"]["spec"], avoid)
    return job


def command(environment: KubernetesEnvironment, stage: Stage, text: str) -> list[str]:
    """Return the command of the container. Paths are arguments and variables, so that a test may put files elsewhere."""
    boot = [environment.python, f"{STAGE_FOLDER}/boot.py", "--store", environment.store, "--code", stage.code]
    return [*boot, "--stage", f"{STAGE_FOLDER}/stage.json", "--digest", _digest(text), "runtime"]


def metadata(
    environment: KubernetesEnvironment, stage: Stage, name: str, labels: dict[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": environment.namespace,
        "labels": labels,
        "annotations": {names.KEY: stage.key, names.LABEL: stage.label},
    }


def teacher_of(plan: Plan, stage: Stage) -> Any:
    """Return the teacher of a `distil` stage, with the placement fields that its preimage does not hold; else `None`."""
    if stage.kind != "distil":
        return None
    return experiment_of(plan, stage).teacher


def experiment_of(plan: Plan, stage: Stage) -> Experiment:
    """Return an experiment that needs the stage; all that need it agree in what it is and where it runs."""
    return next(v for v in plan.variants if stage.key in v.stages).experiment


def with_digest(item: dict[str, Any]) -> dict[str, Any]:
    """Annotate `item` with its own digest, so that applying it again is one comparison; return it.

    Texts count by their digests. Who launched a stage does not count: from any commit it is the same Job.
    """
    texts = {name: _digest(text) for name, text in item.get("data", {}).items()}
    digest = content_key({**item, "data": texts} if texts else _without_launcher(item))
    item["metadata"].setdefault("annotations", {})[names.DIGEST] = digest
    return item


def _without_launcher(item: dict[str, Any]) -> dict[str, Any]:
    """Return a Job without the variable that says who launched it."""
    if item["kind"] != "Job":
        return item
    spec, template = item["spec"], item["spec"]["template"]
    containers = [
        {**c, "env": [e for e in c["env"] if e["name"] != ORIGIN_VARIABLE]} if "env" in c else c
        for c in template["spec"]["containers"]
    ]
    pod = {**template["spec"], "containers": containers}
    return {**item, "spec": {**spec, "template": {**template, "spec": pod}}}


@lru_cache(maxsize=256)
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def boot_script() -> str:
    return BOOT.read_text(encoding="utf-8")
