"""Refuse, select, apply and patch objects as plain dicts, as an API server does.

Server-side apply is simplified: a list is one value, and only leaves are owned.
"""

from __future__ import annotations

import json
import re

from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS


class Refusal(Exception):
    """A request that the server refuses, with its `Status`."""

    def __init__(self, code, reason, message, causes=()) -> None:
        super().__init__(message)
        self.code, self.reason, self.causes = code, reason, causes

    def status(self):
        return {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "code": self.code,
            "reason": self.reason,
            "message": str(self),
            "details": {"causes": [{"field": f, "message": m} for f, m in self.causes]},
        }


def refusing(*refusal, kind=None):
    """Return an `admission` that refuses objects of a kind (all, without one) with the arguments of `Refusal`."""

    def admission(manifest):
        if kind in (None, manifest["kind"]):
            raise Refusal(*refusal)

    return admission


def is_selected(item, query):
    """Return true if an object matches the label and field selectors of a query."""
    labels = item["metadata"].get("labels") or {}
    terms = re.split(r",(?![^(]*\))", query.get("labelSelector") or "")
    fields = (query.get("fieldSelector") or "").split(",")
    return all(_label(t.strip(), labels) for t in terms if t) and all(_field(t, item) for t in fields if t)


def _label(term, labels):
    inside = re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term)
    if inside:
        values = {v.strip() for v in inside[3].split(",")}
        return (labels.get(inside[1]) in values) == (inside[2] == "in")
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return labels.get(key) == value
    return term.removeprefix("!") not in labels if term.startswith("!") else term in labels


def _field(term, item):
    path, _, value = term.replace("==", "=").partition("=")
    different = path.endswith("!")
    for part in path.removesuffix("!").split("."):
        item = (item or {}).get(part)
    return (str(item) == value) != different


IDENTITY = {("metadata", "name"), ("metadata", "namespace"), ("apiVersion",), ("kind",)}
FIXED_OF_A_JOB = ("template", "selector", "completionMode", "podFailurePolicy", "completions")


def copied(value):
    """Copy data that came as JSON, five times as fast as `deepcopy`."""
    return json.loads(json.dumps(value))


def leaves(value, path=()):
    """Return the value at each path that leads to no map."""
    if isinstance(value, dict) and value:
        return {p: v for key, inner in value.items() for p, v in leaves(inner, (*path, key)).items()}
    return {path: value}


def applied(before, manifest, manager, *, force):
    """Return `before` with the fields of `manifest`, owned by `manager`. Raise 409 if others own one and differ."""
    owned = {
        m["manager"]: {tuple(p) for p in m["paths"]} for m in before["metadata"].get("managedFields", ())
    }
    wanted = {p: v for p, v in leaves(manifest).items() if p not in IDENTITY}
    current = leaves(before)
    disputed = [
        (other, path)
        for other, paths in owned.items()
        if other != manager
        for path in paths & set(wanted)
        if current.get(path) != wanted[path]
    ]
    if disputed and not force:
        causes = [(f".{'.'.join(p)}", f'conflict with "{other}"') for other, p in disputed]
        raise Refusal(409, "Conflict", f"Apply failed with {len(causes)} conflicts", causes)
    after = copied(before)
    for path in owned.get(manager, set()) - set(wanted):
        if not any(path in paths for other, paths in owned.items() if other != manager):
            _remove(after, path)
    for path, value in wanted.items():
        _set(after, path, copied(value))
    for other, path in disputed:
        owned[other].discard(path)
    owned[manager] = set(wanted)
    for path in IDENTITY:
        found = leaves(manifest).get(path)
        if found is not None:
            _set(after, path, found)
    after["metadata"]["managedFields"] = [
        {"manager": name, "operation": "Apply", "paths": sorted(map(list, paths))}
        for name, paths in owned.items()
    ]
    return after


def merged(before, change):
    """Merge a JSON patch (RFC 7386)."""
    after = dict(before)
    for key, value in change.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            after[key] = merged(before.get(key) or {}, value)
        else:
            after[key] = value
    return after


def check_update(resource, before, after):
    """Return (field, message) for each immutable field that changed."""
    if resource is JOBS:
        return [
            (f"spec.{key}", "Invalid value: field is immutable")
            for key in FIXED_OF_A_JOB
            if before["spec"].get(key) != after["spec"].get(key)
        ]
    if resource is CONFIGMAPS and before.get("immutable"):
        return [
            (key, "Forbidden: field is immutable when `immutable` is set")
            for key in ("data", "binaryData", "immutable")
            if before.get(key) != after.get(key)
        ]
    return []


def _set(item, path, value):
    for key in path[:-1]:
        inner = item.get(key)
        if not isinstance(inner, dict):
            inner = item[key] = {}
        item = inner
    item[path[-1]] = value


def _remove(item, path):
    for key in path[:-1]:
        item = item.get(key)
        if not isinstance(item, dict):
            return
    item.pop(path[-1], None)
