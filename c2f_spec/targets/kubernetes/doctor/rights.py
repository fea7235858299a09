"""May this identity do what `apply`, `status`, `logs`, `cancel` and `delete` do?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.findings import Finding, error, ok

if TYPE_CHECKING:
    from c2f_spec.targets.kubernetes.doctor.site import Site


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
