"""Build the driver of a plan: a small Job that starts each stage when its inputs are committed, and its ConfigMaps.

Plan and code are in the store (`apply` puts them there), or travel in a ConfigMap (`render --gitops`), so that a merge
in Git is all that a cluster needs. The driver is the only pod of c2f-spec with a token of a service account.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Exit, InvalidSpec
from c2f_spec.targets.kubernetes.manifests import job_shapes, names, security, variables
from c2f_spec.targets.kubernetes.manifests.job_shapes import features, on_codes
from c2f_spec.targets.kubernetes.manifests.pod import amounts, equal_limits, node_and_pull_fields
from c2f_spec.targets.kubernetes.manifests.stage import boot_script, with_digest

if TYPE_CHECKING:
    from c2f_spec.plan.code import Bundle
    from c2f_spec.plan.model import Plan
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.targets.kubernetes.manifests.job_shapes import Features

PLAN_FOLDER = "/etc/c2f/plan"
BUNDLE_FOLDER = "/etc/c2f/bundle"
MODULE = ("c2f_spec", "driver")
"""`python -m c2f_spec driver --plan WHERE --digest DIGEST`."""
MAX_BYTES = 1_000_000
"""Size of a ConfigMap; the API server accepts 1 MiB."""
SERVER_SIDE = {"argocd.argoproj.io/sync-options": "ServerSideApply=true"}
"""Annotation for Argo CD, which otherwise copies an object into an annotation, and those are limited to 256 KiB."""
RESTARTS = 1000
"""Backoff limit: a driver has no state, so it may be killed at any time."""
FINAL = (Exit.SPEC_INVALID, Exit.STALE, Exit.DENIED, Exit.STAGE_FAILED, Exit.USAGE)
"""Exit codes with which another driver of the same plan would end again."""


def plan_url(plan: Plan) -> str:
    """Return the URL at which `apply` stores the plan."""
    return f"{plan.environment.store}/plans/{plan.digest}/plan.json"


def plan_map(plan: Plan) -> dict[str, Any]:
    """Return the ConfigMap of a running plan, in which `cancel` finds the plans that need a stage."""
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


def driver_job(plan: Plan, code: str, *, bundle: str | None = None) -> dict[str, Any]:
    """Return the Job. `code` is the digest of the driver's code; `bundle` names the ConfigMap of plan and code, if any."""
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
            # A Job in Git stays: deleted after a week, the next sync would start it again, for nothing.
            **({} if bundle else {"ttlSecondsAfterFinished": environment.limits.ttl_seconds}),
            "podFailurePolicy": _policy(features(environment.kubernetes)),
            "template": {"metadata": {"labels": labels}, "spec": _pod(plan, environment, code, bundle)},
        },
    }
    job_shapes.add_scheduler_fields(job, environment, None)
    return with_digest(job)


def bundle_map(plan: Plan, text: str, bundles: list[Bundle]) -> dict[str, Any]:
    """Return a ConfigMap with plan and code, for a cluster that follows Git. Raise `InvalidSpec` if it is too large."""
    environment = plan.environment
    assert environment.kind == "kubernetes"
    files = {"plan.json": text.encode(), **{f"{b.digest}.zip": b.data for b in bundles}}
    packed = {f"{name}.z": zlib.compress(data, 9) for name, data in sorted(files.items())}
    size = sum(map(len, packed.values()))
    if size > MAX_BYTES:
        raise InvalidSpec(
            f"the plan and its code take {size:,} bytes, and a ConfigMap holds {MAX_BYTES:,}",
            hint="split the sweep, or start it with `apply`, which keeps both in the store",
            code="C2F456",
        )
    return with_digest(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"bundle-{plan.digest[:10]}",
                "namespace": environment.namespace,
                "labels": names.plan_labels(plan.digest, "bundle"),
                "annotations": dict(SERVER_SIDE),
            },
            "immutable": True,
            "binaryData": {name: base64.b64encode(data).decode() for name, data in packed.items()},
        }
    )


def _pod(plan: Plan, environment: KubernetesEnvironment, code: str, bundle: str | None) -> dict[str, Any]:
    pool, driver = environment.pools[environment.cpu_pool], environment.driver
    amount = amounts(driver.cpu, driver.memory, driver.ephemeral_storage)
    boot = [environment.python, f"{PLAN_FOLDER}/boot.py", "--store", environment.store, "--code", code]
    boot += ["--bundle", BUNDLE_FOLDER] if bundle else []
    where = f"{variables.SCRATCH}/bundle/plan.json" if bundle else plan_url(plan)
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
    if bundle:
        mounts.append({"name": "bundle", "mountPath": BUNDLE_FOLDER, "readOnly": True})
        volumes.append({"name": "bundle", "configMap": {"name": bundle}})
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
        "resources": equal_limits(amount),
        "securityContext": security.container_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": environment.driver_service_account,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": security.pod_context(environment.run_as_user),
        **node_and_pull_fields(environment, pool),
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
