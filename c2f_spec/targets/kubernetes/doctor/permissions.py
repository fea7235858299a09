"""Are the Secrets there, with the keys that the environment names? Values are looked at for one thing: a line's end."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.diagnostics.health import Finding, error, ok, warning
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, SECRETS, SERVICE_ACCOUNTS, VOLUME_CLAIMS

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import SecretRef
    from c2f_spec.targets.kubernetes.doctor import Site


class Right(NamedTuple):
    """One line of the Role in k8s/base, and which verb of ours needs it."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str


NEEDED = (
    Right("batch", "jobs", ("get", "list", "watch", "create", "patch", "delete"), "apply, status, cancel, retry, delete"),
    Right("", "configmaps", ("get", "list", "create", "patch", "delete"), "apply: stage files and plans"),
    Right("", "pods", ("get", "list", "watch", "create"), "status, logs; create: the rehearsal of Pod Security"),
    Right("", "pods/log", ("get",), "logs"),
    Right("", "pods/exec", ("create",), "shell"),
    Right("", "events", ("list",), "status in words"),
    Right("", "services", ("get", "list", "create", "patch", "delete"), "stages of several nodes"),
    Right("coordination.k8s.io", "leases", ("get", "list", "delete"), "who drives a plan; delete"),
)  # fmt: skip
KUEUE = Right("kueue.x-k8s.io", "workloads", ("get", "list"), "status: why the queue waits")
VOLCANO = Right("scheduling.volcano.sh", "podgroups", ("get", "list", "create", "delete"), "gangs")


def rights(site: Site) -> list[Finding]:
    """One line for all that is granted, one for each resource where something is missing."""
    kind = site.environment.scheduler.kind
    needed = (*NEEDED, *{"kueue": (KUEUE,), "volcano": (VOLCANO,)}.get(kind, ()))
    found, granted = [], 0
    for right in needed:
        missing = [verb for verb in right.verbs if not may(site, verb, right.group, right.resource)]
        granted += len(right.verbs) - len(missing)
        if missing:
            fix = f"bind this identity to the Role `c2f-user` of k8s/base ({right.why})"
            found.append(error(f"rights on {right.resource}", f"may not {', '.join(missing)} them", fix))
    return [
        ok("rights", f"{granted} of {sum(len(r.verbs) for r in needed)} needed verbs are granted"),
        *found,
    ]


def may(site: Site, verb: str, group: str, resource: str) -> bool:
    """Ask the server what it would say (SelfSubjectAccessReview); everybody may ask."""
    name, _, sub = resource.partition("/")
    asked = {
        "namespace": site.client.namespace,
        "verb": verb,
        "group": group,
        "resource": name,
        "subresource": sub,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {"resourceAttributes": {k: v for k, v in asked.items() if v}},
    }
    return bool(site.client.create(review)["status"]["allowed"])


EXAMPLES = "k8s/README.md has examples for Secrets, External Secrets and Sealed Secrets"
REGISTRY_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


def secrets(site: Site) -> list[Finding]:
    environment = site.environment
    found = [f for name, ref in environment.secrets.items() for f in _secret(site, name, ref)]
    for name in environment.pull_secrets:
        found += _pull(site, name)
    if environment.access.ca:
        kept = site.client.get(CONFIGMAPS, environment.access.ca)
        what = f"configmap {environment.access.ca}"
        if kept is None or "ca.crt" not in kept.get("data", {}):
            found.append(error(what, "is not there with the key `ca.crt`", "`access.ca` names it"))
        else:
            found.append(ok(what, "has `ca.crt`"))
    return found


def _secret(site: Site, name: str, ref: SecretRef) -> list[Finding]:
    what = f"secret {ref.name}"
    kept = site.client.get(SECRETS, ref.name)
    if kept is None:
        return [error(what, f"does not exist (`secrets.{name}`)", EXAMPLES)]
    data = kept.get("data") or {}
    missing = sorted({key for key in ref.env.values() if key not in data})
    if missing:
        have = ", ".join(sorted(data)) or "none"
        return [
            error(
                what,
                f"has no key {', '.join(missing)}; it has {have}",
                f"add it, or correct `secrets.{name}.env`",
            )
        ]
    lines = sorted({k for k in ref.env.values() if base64.b64decode(data[k]).endswith((b"\n", b"\r"))})
    if lines:
        return [
            warning(
                what,
                f"the value of {', '.join(lines)} ends with a new line, which signatures do not forgive",
                "make it again with printf or --from-literal",
            )
        ]
    return [ok(what, f"has {', '.join(sorted(set(ref.env.values())))}")]


def _pull(site: Site, name: str) -> list[Finding]:
    what = f"pull secret {name}"
    kept = site.client.get(SECRETS, name)
    if kept is None:
        return [error(what, "does not exist", "kubectl create secret docker-registry")]
    if kept.get("type") not in REGISTRY_TYPES:
        return [
            error(
                what,
                f"is of type {kept.get('type')}, which no node uses to pull",
                "kubectl create secret docker-registry",
            )
        ]
    return [ok(what, "exists")]


def accounts(site: Site) -> list[Finding]:
    """The service accounts of stages and driver, and the claim of the node cache."""
    found = []
    for name in (site.environment.service_account, site.environment.driver_service_account):
        if site.client.get(SERVICE_ACCOUNTS, name) is None:
            found.append(error(f"service account {name}", "does not exist", "kubectl apply -k k8s/ makes it"))
        else:
            found.append(ok(f"service account {name}", "exists"))
    cache = site.environment.node_cache
    if cache.kind == "pvc":
        claim = site.client.get(VOLUME_CLAIMS, cache.claim)
        what = f"volume claim {cache.claim}"
        phase = (claim or {}).get("status", {}).get("phase")
        if claim is None:
            found.append(error(what, "does not exist", "create it, or say `node_cache: none`"))
        elif phase != "Bound":
            found.append(warning(what, f"is {phase}", "kubectl describe pvc says what it waits for"))
        else:
            found.append(ok(what, "is bound"))
    return found
