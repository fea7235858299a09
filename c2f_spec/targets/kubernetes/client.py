"""Talk to an API server: plain dicts, one method for each verb, and the kinds of objects.

    client = Client(find_access(), namespace="team")
    client.get(JOBS, "sft-0123456789-r0")                               dict, or None
    client.list(JOBS, labels="app.kubernetes.io/managed-by=c2f-spec")   one object after another, read in pages
    client.apply(manifest)                                              server-side apply with our field manager

A refusal raises an error of `errors.py`, except that `get` of an object that does not exist is `None` and `delete` of it
is false. Writes are checked strictly by the server, and a `Warning` is an error. Lists and watches that go on for ever
are in `watch.py`; what is repeated, and for how long, in `transport.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.errors import NotFound, Warned, api_error, warnings_of
from c2f_spec.targets.kubernetes.transport import JITTER, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from c2f_spec.targets.kubernetes.kubeconfig import Access
    from c2f_spec.targets.kubernetes.transport import Method, Stream


class Resource(NamedTuple):
    """A kind of object of the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """Return `/apis/batch/v1/namespaces/team/jobs/sft-0123456789-r0/status`. No namespace means all of them."""
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
    """Return the kind of an object. Raise `KeyError` for a kind that is not listed above."""
    return RESOURCES[manifest["apiVersion"], manifest["kind"]]


FIELD_MANAGER = "c2f-spec"
CONNECTIONS = 8
"""An API server is busy from four to eight on; more only takes from others (PLATFORM: "Apply 1,000 Jobs")."""
PATIENCE_SECONDS = 15.0
"""Seconds for which a request is repeated at a terminal; the driver has more."""
PAGE = 500
WATCH_SECONDS = 240
"""How long the server keeps a watch open."""
SILENCE_SECONDS = 120.0
"""A bookmark comes every minute or so: a watch that is silent for longer may be dead, and is opened again."""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Change(NamedTuple):
    """An event of a watch."""

    what: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: dict[str, Any]


class Watch:
    """Iterate over changes until the server ends the watch, after some minutes. Any thread may call `close`."""

    def __init__(self, stream: Stream, what: str) -> None:
        self._stream, self._what = stream, what
        self.close = stream.close

    def __iter__(self) -> Iterator[Change]:
        """Yield changes. Raise `Gone` when the version to go on from has expired, `Unreachable` on a broken connection."""
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
        """Return a client of the same identity with its own connections and patience."""
        return Client(self.access, namespace=self.namespace, connections=1, patience=seconds)

    def get(self, resource: Resource, name: str) -> dict[str, Any] | None:
        """Return an object, or `None` if it does not exist."""
        try:
            return _body(self.transport.send("GET", resource.path(self.namespace, name)))
        except NotFound:
            return None

    def list(
        self, resource: Resource, *, labels: str = "", fields: str = "", metadata_only: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield every object, with `metadata_only` only its `metadata`. Raise `Gone` as `pages` does."""
        for page in self.pages(resource, labels=labels, fields=fields, metadata_only=metadata_only):
            yield from page["items"]

    def pages(
        self, resource: Resource, *, labels: str = "", fields: str = "", metadata_only: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield the answers of a paged LIST; a watch goes on from the last one's `metadata.resourceVersion`.

        Raise `Gone` if a page is requested too late, after minutes: begin again.
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
        """Watch changes after the version `since`. Not repeated: `watch.py` does that."""
        seconds = JITTER.randint(WATCH_SECONDS, WATCH_SECONDS * 3 // 2)  # not all watches at once
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
        """POST an object. Raise `Conflict` if the name is taken, also by a POST that arrived and was repeated."""
        return self._write("POST", manifest, None, dry_run=dry_run)

    def apply(
        self, manifest: dict[str, Any], *, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply on the server: create or change an object. Raise `Conflict` if others own a field, unless `force`."""
        return self._write("PATCH", manifest, _name(manifest), force=force, dry_run=dry_run)

    def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """PUT an object as it was read. Raise `Conflict` if it was changed since."""
        return self._write("PUT", manifest, _name(manifest))

    def patch(
        self, resource: Resource, name: str, change: dict[str, Any], *, sub: str | None = None
    ) -> dict[str, Any]:
        """Send a JSON merge patch. Raise `NotFound`."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = resource.path(self.namespace, name, sub)
        kind = "application/merge-patch+json"
        return _body(self.transport.send("PATCH", path, query, body=change, content=kind))

    def delete(
        self, resource: Resource, name: str, *, uid: str | None = None, foreground: bool = False
    ) -> bool:
        """Delete an object and what it owns; return false if it did not exist.

        With `uid`, another object of that name is a `Conflict`. With `foreground`, the object stays, marked, until what
        it owns is gone.
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
        """Yield lines of a container's log; with `follow`, until it ends. Raise `NotFound` or `Rejected` if it has none yet."""
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
        """GET any path, such as `/version`, or `/apis/kueue.x-k8s.io` to check that a group is served. Raise `NotFound`."""
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
    body: dict[str, Any] = json.loads(answer.data)
    return body
