"""Store objects, their versions, and a history that watches read and compaction deletes."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from datetime import UTC, datetime

from c2f_spec.targets.kubernetes.client import JOBS, NAMESPACES, resource_of
from tests.fake_api.objects import Refusal, applied, check_update, copied, merged

HISTORY = 20_000


class State:
    """Objects by resource, namespace and name. Every change is an event with a version of its own."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 1
        self.oldest = 1
        """Versions below this one have expired."""
        self.objects = {}
        self.history = deque(maxlen=HISTORY)
        self.writes = []
        """(verb, kind, name) of every write that changed something."""

    def get(self, resource, namespace, name):
        with self.changed:
            found = self.objects.get(resource, {}).get((namespace, name))
            if found is None:
                raise Refusal(404, "NotFound", f'{resource.plural} "{name}" not found')
            return found

    def all(self, resource, namespace=None):
        """Return objects in the order of their names; `None` means every namespace."""
        with self.changed:
            kept = self.objects.get(resource, {})
            return [kept[key] for key in sorted(kept) if namespace in (None, key[0])]

    def create(self, resource, namespace, manifest, *, dry_run=False):
        with self.changed:
            name = (
                manifest["metadata"].get("name")
                or manifest["metadata"]["generateName"] + uuid.uuid4().hex[:5]
            )
            if (namespace, name) in self.objects.get(resource, {}):
                raise Refusal(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
            made = copied(manifest)
            made["metadata"] |= {
                "name": name,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "generation": 1,
            }
            if resource.namespaced:
                made["metadata"]["namespace"] = namespace
            if resource is JOBS:
                _default_job(made)
            return made if dry_run else self._keep("create", resource, namespace, made, "ADDED")

    def apply(self, resource, namespace, name, manifest, manager, *, force=False, dry_run=False):
        """Apply a manifest on the server; managed fields are kept by path, lists are atomic."""
        with self.changed:
            before = self.objects.get(resource, {}).get((namespace, name))
            if before is None:
                made = applied({"metadata": {}}, manifest, manager, force=force)
                return self.create(resource, namespace, made, dry_run=dry_run)
            after = applied(before, manifest, manager, force=force)
            return self._update("apply", resource, namespace, before, after, dry_run=dry_run)

    def replace(self, resource, namespace, name, manifest, *, dry_run=False):
        with self.changed:
            before = self.get(resource, namespace, name)
            asked = manifest["metadata"].get("resourceVersion")
            if asked and asked != before["metadata"]["resourceVersion"]:
                raise Refusal(409, "Conflict", f'{resource.plural} "{name}": the object has been modified')
            after = copied(manifest)
            after["metadata"] = {**before["metadata"], **after["metadata"]}
            return self._update("replace", resource, namespace, before, after, dry_run=dry_run)

    def merge(self, resource, namespace, name, change):
        """Merge a JSON patch into an object, or its status."""
        with self.changed:
            before = self.get(resource, namespace, name)
            return self._update("patch", resource, namespace, before, merged(before, change))

    def delete(self, resource, namespace, name, *, uid=None):
        with self.changed:
            found = self.get(resource, namespace, name)
            if uid is not None and uid != found["metadata"]["uid"]:
                raise Refusal(409, "Conflict", f"the UID in the precondition ({uid}) does not match")
            if resource is NAMESPACES:
                inside = [
                    (kind, child)
                    for kind, kept in self.objects.items()
                    for space, child in kept
                    if space == name
                ]
                for kind, child in inside:
                    if (name, child) in self.objects[kind]:  # what owned it may have taken it along
                        self.delete(kind, name, child)
            del self.objects[resource][namespace, name]
            self._record("delete", resource, found, "DELETED")
            for kind, kept in list(self.objects.items()):
                for (space, child), item in list(kept.items()):
                    owners = item["metadata"].get("ownerReferences") or ()
                    if any(o.get("uid") == found["metadata"]["uid"] for o in owners):
                        self.delete(kind, space, child)
            return found

    def forget(self):
        """Delete the history: a watch from an older version, and an older page, are answered with 410."""
        with self.changed:
            self.oldest = self.version
            self.history.clear()
            self.changed.notify_all()

    def after(self, version, resource, namespace):
        """Return events after `version`. Raise 410 if some of them have expired."""
        with self.changed:
            if version < self.oldest:
                raise Refusal(410, "Expired", f"too old resource version: {version} ({self.oldest})")
            found = []
            for number, kind, what, item in reversed(self.history):
                if number <= version:
                    break
                if kind is resource and namespace in (None, item["metadata"].get("namespace")):
                    found.append((number, what, item))
            return found[::-1]

    def _update(self, verb, resource, namespace, before, after, *, dry_run=False):
        if _content(before) == _content(after):
            return before
        causes = check_update(resource, before, after)
        if causes:
            name = before["metadata"]["name"]
            told = ", ".join(f"{field}: {message}" for field, message in causes)
            raise Refusal(422, "Invalid", f'{resource.kind} "{name}" is invalid: {told}', causes)
        return after if dry_run else self._keep(verb, resource, namespace, after, "MODIFIED")

    def _keep(self, verb, resource, namespace, item, what):
        item = copied(item)
        self._record(verb, resource, item, what)
        self.objects.setdefault(resource, {})[namespace, item["metadata"]["name"]] = item
        return item

    def _record(self, verb, resource, item, what):
        self.version += 1
        if what == "DELETED":
            item = copied(item)
        item["metadata"]["resourceVersion"] = str(self.version)
        if len(self.history) == HISTORY:
            self.oldest = self.history[0][0] + 1
        self.history.append((self.version, resource, what, item))
        self.writes.append((verb, resource.kind, item["metadata"]["name"]))
        self.changed.notify_all()

    def load(self, namespace, *manifests):
        """Add objects before a test begins."""
        for manifest in manifests:
            self.create(resource_of(manifest), namespace, manifest)


def _content(item):
    metadata = {k: v for k, v in item["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**item, "metadata": metadata}


def _default_job(job):
    """Fill in the fields that a server sets and clients read."""
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    spec = job["spec"]
    for key, value in (
        ("parallelism", 1),
        ("backoffLimit", 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
    ):
        spec.setdefault(key, value)
    if spec["completionMode"] == "NonIndexed":
        spec.setdefault("completions", 1)
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "job-name": name,
    }
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**template.get("labels", {}), **labels}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    job.setdefault("status", {})
