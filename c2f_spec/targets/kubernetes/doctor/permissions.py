"""Check what the identity may do, and the accounts, Secrets and volume claim that the environment names."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, SECRETS, SERVICE_ACCOUNTS, VOLUME_CLAIMS

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import SecretRef
    from c2f_spec.targets.kubernetes.doctor.cluster import Site


class Right(NamedTuple):
    """A rule of the Role `c2f-user` in k8s/base, and the commands that need it."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    needed_by: str


RIGHTS = (
    Right("batch", "jobs", ("get", "list", "watch", "create", "patch", "delete"), "apply, status, cancel, retry, delete"),
    Right("", "configmaps", ("get", "list", "create", "patch", "delete"), "apply: stage files and plans"),
    Right("", "pods", ("get", "list", "watch", "create"), "status, logs; create: the dry run of `apply`"),
    Right("", "pods/log", ("get",), "logs"),
    Right("", "pods/exec", ("create",), "shell"),
    Right("", "events", ("list",), "status: why a pod is pending"),
    Right("", "services", ("get", "list", "create", "patch", "delete"), "stages of several nodes"),
    Right("coordination.k8s.io", "leases", ("get", "list", "delete"), "delete: the lease of a driver"),
)  # fmt: skip
KUEUE = Right("kueue.x-k8s.io", "workloads", ("get", "list"), "status: why the queue waits")
VOLCANO = Right("scheduling.volcano.sh", "podgroups", ("get", "list", "create", "delete"), "gangs")
EXAMPLES = "create it: k8s/README.md has examples for Secrets, External Secrets and Sealed Secrets"
LOGIN_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


def check_rights(site: Site) -> list[HealthCheck]:
    """Return one finding for all that is granted, and one for each resource with a missing right."""
    kind = site.environment.scheduler.kind
    rights = (*RIGHTS, *{"kueue": (KUEUE,), "volcano": (VOLCANO,)}.get(kind, ()))
    findings, granted = [], 0
    for right in rights:
        missing = [verb for verb in right.verbs if not is_allowed(site, verb, right.group, right.resource)]
        granted += len(right.verbs) - len(missing)
        if missing:
            fix = f"bind this identity to the Role `c2f-user` of k8s/base ({right.needed_by})"
            findings.append(
                error(f"rights on {right.resource}", f"permission denied: {', '.join(missing)}", fix)
            )
    return [
        ok("rights", f"{granted} of {sum(len(r.verbs) for r in rights)} needed verbs are granted"),
        *findings,
    ]


def is_allowed(site: Site, verb: str, group: str, resource: str) -> bool:
    """Ask the server whether it would allow a verb (SelfSubjectAccessReview); every identity may ask."""
    name, _, sub = resource.partition("/")
    attributes = {
        "namespace": site.client.namespace, "verb": verb, "group": group, "resource": name, "subresource": sub
    }  # fmt: skip
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
    }
    return bool(site.client.create(review)["status"]["allowed"])


def check_secrets(site: Site) -> list[HealthCheck]:
    """Check the Secrets with their keys, the pull secrets, and the ConfigMap of certificate authorities."""
    environment = site.environment
    findings = [_check_secret(site, name, ref) for name, ref in environment.secrets.items()]
    findings += [_check_pull_secret(site, name) for name in environment.pull_secrets]
    if name := environment.access.ca:
        config_map, what = site.client.get(CONFIGMAPS, name), f"configmap {name}"
        if config_map is None or "ca.crt" not in config_map.get("data", {}):
            fix = "create it with that key, or correct `access.ca` of the environment"
            findings.append(error(what, "not found with the key `ca.crt`", fix))
        else:
            findings.append(ok(what, "has `ca.crt`"))
    return findings


def _check_secret(site: Site, name: str, ref: SecretRef) -> HealthCheck:
    """Check that a Secret has the keys; of a value only its last character is read."""
    secret, what = site.client.get(SECRETS, ref.name), f"secret {ref.name}"
    if secret is None:
        return error(what, f"not found (`secrets.{name}`)", EXAMPLES)
    data, keys = secret.get("data") or {}, sorted(set(ref.env.values()))
    if missing := [key for key in keys if key not in data]:
        detail = f"key {', '.join(missing)} not found; it has {', '.join(sorted(data)) or 'none'}"
        return error(what, detail, f"add it, or correct `secrets.{name}.env`")
    if broken := [key for key in keys if base64.b64decode(data[key]).endswith((b"\n", b"\r"))]:
        detail = f"the value of {', '.join(broken)} ends with a newline, which makes signatures invalid"
        return warning(what, detail, "create it again with printf or --from-literal")
    return ok(what, f"has {', '.join(keys)}")


def _check_pull_secret(site: Site, name: str) -> HealthCheck:
    secret, what = site.client.get(SECRETS, name), f"pull secret {name}"
    fix = "create it with `kubectl create secret docker-registry`"
    if secret is None:
        return error(what, "not found", fix)
    if secret.get("type") not in LOGIN_TYPES:
        return error(what, f"is of type {secret.get('type')}, which no node uses to pull", fix)
    return ok(what, "exists")


def check_accounts(site: Site) -> list[HealthCheck]:
    """Check the service accounts of stages and driver, and the volume claim of the node cache."""
    findings = []
    for name in (site.environment.service_account, site.environment.driver_service_account):
        if site.client.get(SERVICE_ACCOUNTS, name) is None:
            findings.append(error(f"service account {name}", "not found", "run `kubectl apply -k k8s/`"))
        else:
            findings.append(ok(f"service account {name}", "exists"))
    cache = site.environment.node_cache
    if cache.kind == "pvc":
        claim, what = site.client.get(VOLUME_CLAIMS, cache.claim), f"volume claim {cache.claim}"
        phase = (claim or {}).get("status", {}).get("phase")
        if claim is None:
            findings.append(error(what, "not found", "create it, or set `node_cache: none`"))
        elif phase != "Bound":
            findings.append(
                warning(what, f"is {phase}", "run `kubectl describe pvc` to see what it waits for")
            )
        else:
            findings.append(ok(what, "is bound"))
    return findings
