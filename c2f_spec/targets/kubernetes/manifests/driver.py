"""The driver of a plan: a small Job that starts each stage when its inputs are committed, and what it reads.

The plan and the code are in the store (`apply` puts them there), or travel in ConfigMaps (`render --gitops`), so that
a merge in Git is all that a cluster needs. It is the only pod of ours with a token of a service account.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Exit, SpecInvalid
from c2f_spec.spec import quantities
from c2f_spec.targets.kubernetes.manifests import job_shapes, names, security, variables
from c2f_spec.targets.kubernetes.manifests.job_shapes import features, on_codes
from c2f_spec.targets.kubernetes.manifests.stage import boot_script, with_digest

if TYPE_CHECKING:
    from c2f_spec.plan.code import Bundle
    from c2f_spec.plan.model import Plan
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.targets.kubernetes.manifests.job_shapes import Features

PLAN_FOLDER = "/etc/c2f/plan"
GIVEN_FOLDER = "/etc/c2f/given"
MODULE = ("c2f_spec", "driver")
"""`python -m c2f_spec driver --plan WHERE --digest DIGEST`."""
MOST_BYTES = 1_000_000
"""Of a ConfigMap: the API server takes 1 MiB."""
SERVER_SIDE = {"argocd.argoproj.io/sync-options": "ServerSideApply=true"}
"""For Argo CD, which else copies an object into an annotation of its own, and those end at 256 KiB."""
RESTARTS = 1000
"""A driver may be killed as often as a cluster likes: it has no state of its own."""
FINAL = (Exit.SPEC_INVALID, Exit.STALE, Exit.DENIED, Exit.STAGE_FAILED, Exit.USAGE)
"""Ends that another driver of the same plan would come to again."""


def plan_url(plan: Plan) -> str:
    """Where `apply` stores it."""
    return f"{plan.environment.store}/plans/{plan.digest}/plan.json"


def plan_map(plan: Plan) -> dict[str, Any]:
    """The ConfigMap that says a plan is running: `cancel` finds here who else needs a stage."""
    environment = plan.environment
    assert environment.kind == "kubernetes"
    keys = [{"kind": s.kind, "key": s.key} for s in plan.stages]
    return with_digest(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": names.plan_name(plan.digest),
                "namespace": environment.namespace,
                "labels": names.plan_labels(plan.digest, "plan"),
                "annotations": {names.LABEL: plan.name},
            },
            "immutable": True,
            "data": {
                "boot.py": boot_script(),
                "digest": plan.digest,
                "keys": json.dumps(keys, indent=1) + "\n",
                "name": plan.name,
                "url": plan_url(plan),
            },
        }
    )


def driver_job(plan: Plan, code: str, *, given: str | None = None) -> dict[str, Any]:
    """The Job. `code` is the digest of the driver's bundle; `given` names the ConfigMap that holds plan and code."""
    environment, digest = plan.environment, plan.digest
    assert environment.kind == "kubernetes"
    labels = names.plan_labels(digest, "driver")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.driver_name(digest),
            "namespace": environment.namespace,
            "labels": dict(labels),
            "annotations": {names.KEY: digest, names.LABEL: plan.name},
        },
        "spec": {
            "backoffLimit": RESTARTS,
            # A Job that Git holds stays: removed after a week, the next sync would start it again, for nothing.
            **({} if given else {"ttlSecondsAfterFinished": environment.limits.ttl_seconds}),
            "podFailurePolicy": _policy(features(environment.kubernetes)),
            "template": {"metadata": {"labels": labels}, "spec": _pod(plan, environment, code, given)},
        },
    }
    job_shapes.add_scheduler_fields(job, environment, None)
    return with_digest(job)


def bundle_map(plan: Plan, text: str, bundles: list[Bundle]) -> dict[str, Any]:
    """The plan as JSON and the code, for a cluster that is reached by Git alone. Raises `SpecInvalid` if it is too large."""
    environment = plan.environment
    assert environment.kind == "kubernetes"
    files = {"plan.json": text.encode(), **{f"{b.digest}.zip": b.data for b in bundles}}
    packed = {f"{name}.z": zlib.compress(data, 9) for name, data in sorted(files.items())}
    size = sum(map(len, packed.values()))
    if size > MOST_BYTES:
        raise SpecInvalid(
            f"the plan and its code take {size:,} bytes, and a ConfigMap holds {MOST_BYTES:,}",
            hint="split the sweep, or start it with `apply`, which keeps both in the store",
            code="C2F456",
        )
    return with_digest(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"given-{plan.digest[:10]}",
                "namespace": environment.namespace,
                "labels": names.plan_labels(plan.digest, "given"),
                "annotations": dict(SERVER_SIDE),
            },
            "immutable": True,
            "binaryData": {name: _base64(data) for name, data in packed.items()},
        }
    )


def _pod(plan: Plan, environment: KubernetesEnvironment, code: str, given: str | None) -> dict[str, Any]:
    pool, asked = environment.pools[environment.cpu_pool], environment.driver
    amount = {
        "cpu": quantities.cores(asked.cpu),
        "memory": quantities.bytes_of(asked.memory),
        "ephemeral-storage": quantities.bytes_of(asked.ephemeral_storage),
    }
    boot = [environment.python, f"{PLAN_FOLDER}/boot.py", "--store", environment.store, "--code", code]
    boot += ["--given", GIVEN_FOLDER] if given else []
    where = f"{variables.SCRATCH}/given/plan.json" if given else plan_url(plan)
    command = [*boot, *MODULE, "--plan", where, "--digest", plan.digest]
    secrets = [environment.tracking_secret, environment.notify.secret if environment.notify else None]
    mounts = [
        {"name": "plan", "mountPath": PLAN_FOLDER, "readOnly": True},
        {"name": "scratch", "mountPath": variables.SCRATCH},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  some libraries do not ask TMPDIR
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "plan", "configMap": {"name": names.plan_name(plan.digest)}},
        {"name": "scratch", "emptyDir": {"sizeLimit": amount["ephemeral-storage"]}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    if given:
        mounts.append({"name": "given", "mountPath": GIVEN_FOLDER, "readOnly": True})
        volumes.append({"name": "given", "configMap": {"name": given}})
    if environment.access.ca:
        mounts.append({"name": "authorities", "mountPath": variables.AUTHORITIES, "readOnly": True})
        volumes.append({"name": "authorities", "configMap": {"name": environment.access.ca}})
    container = {
        "name": names.DRIVER_CONTAINER,
        "image": environment.driver_image or environment.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [variables.literal(word) for word in command],
        "env": [
            *variables.common(environment),
            *(variable for name in secrets for variable in variables.secret(environment, name)),
        ],
        "resources": {"requests": amount, "limits": dict(amount)},
        "securityContext": security.container_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    pull = [{"name": name} for name in environment.pull_secrets]
    return {
        "restartPolicy": "Never",
        "serviceAccountName": environment.driver_service_account,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": security.pod_context(environment.run_as_user),
        **({"imagePullSecrets": pull} if pull else {}),
        **({"nodeSelector": dict(pool.node_selector)} if pool.node_selector else {}),
        **(
            {"tolerations": [t.model_dump(exclude_none=True) for t in pool.tolerations]}
            if pool.tolerations
            else {}
        ),
        "containers": [container],
        "volumes": volumes,
    }


def _policy(able: Features) -> dict[str, Any]:
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [disrupted]},
            on_codes("FailJob", names.DRIVER_CONTAINER, sorted(map(int, FINAL)), able),
        ]
    }


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
