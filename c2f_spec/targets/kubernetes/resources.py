"""The kinds of objects that we read or write, and where the API server keeps them."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote


class Resource(NamedTuple):
    """One kind of object of the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """`/apis/batch/v1/namespaces/team/jobs/sft-0123456789-r0/status`. No namespace means all of them."""
        group = "/api" if "/" not in self.api_version else "/apis"
        inside = ("namespaces", namespace) if self.namespaced and namespace else ()
        parts = (*inside, self.plural, *((name,) if name else ()), *((sub,) if sub else ()))
        return f"{group}/{self.api_version}/{'/'.join(quote(p, safe='') for p in parts)}"


CONFIGMAPS = Resource("v1", "ConfigMap", "configmaps")
EVENTS = Resource("v1", "Event", "events")
NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
NODES = Resource("v1", "Node", "nodes", namespaced=False)
PODS = Resource("v1", "Pod", "pods")
SECRETS = Resource("v1", "Secret", "secrets")
SERVICES = Resource("v1", "Service", "services")
SERVICE_ACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts")
VOLUME_CLAIMS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
JOBS = Resource("batch/v1", "Job", "jobs")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
NETWORK_POLICIES = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
ROLES = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
PRIORITY_CLASSES = Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False)
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
WORKLOADS = Resource("kueue.x-k8s.io/v1beta2", "Workload", "workloads")
LOCAL_QUEUES = Resource("kueue.x-k8s.io/v1beta2", "LocalQueue", "localqueues")
CLUSTER_QUEUES = Resource("kueue.x-k8s.io/v1beta2", "ClusterQueue", "clusterqueues", namespaced=False)
RESOURCE_FLAVORS = Resource("kueue.x-k8s.io/v1beta2", "ResourceFlavor", "resourceflavors", namespaced=False)
VOLCANO_QUEUES = Resource("scheduling.volcano.sh/v1beta1", "Queue", "queues", namespaced=False)
POD_GROUPS = Resource("scheduling.volcano.sh/v1beta1", "PodGroup", "podgroups")

RESOURCES = {(r.api_version, r.kind): r for r in list(globals().values()) if isinstance(r, Resource)}


def resource_of(manifest: dict[str, Any]) -> Resource:
    """Where an object belongs. A kind that is not listed above is an error of ours: `KeyError`."""
    return RESOURCES[manifest["apiVersion"], manifest["kind"]]
