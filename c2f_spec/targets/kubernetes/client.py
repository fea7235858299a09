"""The one module that talks to an API server: plain dicts, a function a verb.

    client = Client(find_access(), namespace="team")
    client.get(JOBS, "sft-0123456789-r0")                               dict, or None
    client.list(JOBS, labels="app.kubernetes.io/managed-by=c2f-spec")   one object after another, read in pages
    client.apply(manifest)                                              server-side apply with our field manager

No call returns a refusal: it raises one of `answers.py`, except that `get` of what is not there is `None` and `delete`
of it is false. Writes are checked strictly by the server, and a `Warning` is an error. Lists and watches that go on
for ever are in `watch.py`, what to repeat and for how long in `transport.py`.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.errors import NotFound, Warned, api_error, warnings_of
from c2f_spec.targets.kubernetes.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from c2f_spec.targets.kubernetes.kubeconfig import Access
    from c2f_spec.targets.kubernetes.transport import Method, Stream


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


FIELD_MANAGER = "c2f-spec"
CONNECTIONS = 8
"""An API server is busy from four to eight on; more only takes from others (PLATFORM: "Apply 1,000 Jobs")."""
PATIENCE_SECONDS = 15.0
"""Of who waits at a terminal; the driver has more."""
PAGE = 500
WATCH_SECONDS = 240
"""How long the server is asked to keep a watch open."""
SILENCE_SECONDS = 120.0
"""A bookmark comes every minute or so: a watch that is silent for longer may be dead, and is opened again."""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Change(NamedTuple):
    """One event of a watch."""

    what: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: dict[str, Any]


class Watch:
    """Changes until the server ends them, which it does after some minutes. `close` may come from another thread."""

    def __init__(self, stream: Stream, what: str) -> None:
        self._stream, self._what = stream, what
        self.close = stream.close

    def __iter__(self) -> Iterator[Change]:
        """Raises `Gone` when the version to go on from is not kept any more, `Unreachable` on a broken connection."""
        for line in self._stream:
            try:
                event = json.loads(line)
            except ValueError as error:
                raise Unreachable(f"{self._what} was cut off within a line") from error
            if event["type"] == "ERROR":
                status = event["object"]
                raise api_error(self._what, int(status.get("code", 500)), json.dumps(status).encode())
            yield Change(event["type"], event["object"])


class Client:
    """One identity at one API server, in one namespace. Safe to use from several threads."""

    def __init__(
        self,
        access: Access,
        *,
        namespace: str | None = None,
        connections: int = CONNECTIONS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.access, self.namespace = access, namespace or access.namespace or "default"
        self.transport = Transport(access, connections=connections, patience=patience)

    def with_patience(self, seconds: float) -> Client:
        """The same identity, on connections of its own."""
        return Client(self.access, namespace=self.namespace, connections=1, patience=seconds)

    def get(self, resource: Resource, name: str) -> dict[str, Any] | None:
        """One object, or `None`."""
        try:
            return _body(self.transport.send("GET", resource.path(self.namespace, name)))
        except NotFound:
            return None

    def list(
        self, resource: Resource, *, labels: str = "", fields: str = "", metadata_only: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Every object. With `metadata_only`, `metadata` is all that they have. Raises `Gone` as `pages` does."""
        for page in self.pages(resource, labels=labels, fields=fields, metadata_only=metadata_only):
            yield from page["items"]

    def pages(
        self, resource: Resource, *, labels: str = "", fields: str = "", metadata_only: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Answers of a paged LIST; the last one's `metadata.resourceVersion` is where a watch goes on.

        Raises `Gone` if a page is asked for too late, after minutes: begin again.
        """
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(PAGE), "continue": ""}
        accept = METADATA_ONLY if metadata_only else "application/json"
        while True:
            page = _body(self.transport.send("GET", resource.path(self.namespace), query, accept=accept))
            yield page
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return

    def watch(self, resource: Resource, *, since: str, labels: str = "", fields: str = "") -> Watch:
        """Changes after the version `since`. Not repeated: `watch.py` does that."""
        seconds = random.randint(WATCH_SECONDS, WATCH_SECONDS * 3 // 2)  # noqa: S311  not all watches at once
        query = {
            "watch": "1",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path = resource.path(self.namespace)
        return Watch(self.transport.stream(path, query, silence=SILENCE_SECONDS), f"watch of {path}")

    def create(self, manifest: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """POST. Raises `Conflict` if the name is taken, and so for a POST that had arrived before it was repeated."""
        return self._write("POST", manifest, None, dry_run=dry_run)

    def apply(
        self, manifest: dict[str, Any], *, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Server-side apply: make an object that has these fields. `Conflict` if others own one, unless `force`."""
        return self._write("PATCH", manifest, _name(manifest), force=force, dry_run=dry_run)

    def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """PUT of an object as it was read: `Conflict` if it was changed since."""
        return self._write("PUT", manifest, _name(manifest))

    def patch(
        self, resource: Resource, name: str, change: dict[str, Any], *, sub: str | None = None
    ) -> dict[str, Any]:
        """JSON merge patch. Raises `Absent`."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = resource.path(self.namespace, name, sub)
        kind = "application/merge-patch+json"
        return _body(self.transport.send("PATCH", path, query, body=change, content=kind))

    def delete(
        self, resource: Resource, name: str, *, uid: str | None = None, foreground: bool = False
    ) -> bool:
        """Whether it was there; what it owns goes too. With `uid`, another object of its name is a `Conflict`.

        With `foreground` it stays, marked, until what it owns is gone.
        """
        body: dict[str, Any] = {"propagationPolicy": "Foreground" if foreground else "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            self.transport.send("DELETE", resource.path(self.namespace, name), body=body)
        except NotFound:
            return False
        return True

    def logs(
        self,
        pod: str,
        *,
        container: str,
        follow: bool = False,
        tail: int | None = None,
        timestamps: bool = False,
    ) -> Iterator[str]:
        """Lines of a container's log; with `follow`, until it ends. Raises `Absent` or `Rejected` if there is none yet."""
        query = {
            "container": container,
            "follow": "true" if follow else "",
            "tailLines": "" if tail is None else str(tail),
            "timestamps": "true" if timestamps else "",
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        silence = None if follow else SILENCE_SECONDS
        for line in self.transport.stream(path, query, silence=silence, accept="*/*"):
            yield line.decode(errors="replace")

    def raw(self, path: str) -> dict[str, Any]:
        """GET of any path: `/version`, or `/apis/kueue.x-k8s.io` to see if a group is served. Raises `Absent`."""
        return _body(self.transport.send("GET", path))

    def _write(
        self,
        method: Method,
        manifest: dict[str, Any],
        name: str | None,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        space = manifest["metadata"].get("namespace") or self.namespace
        path = resource_of(manifest).path(space, name)
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER}
        query |= {"force": "true" if force else "false"} if method == "PATCH" else {}
        query |= {"dryRun": "All"} if dry_run else {}
        content = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        answer = self.transport.send(method, path, query, body=manifest, content=content)
        warnings = warnings_of(answer.headers.getlist("Warning"))
        if warnings:
            raise Warned(f"{manifest['kind']} {_name(manifest)}", warnings, _body(answer))
        return _body(answer)


def _name(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


def _body(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.data)
    return found
