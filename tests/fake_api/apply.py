"""Server-side apply and merge patch on plain dicts, simplified: a list is one value, and only leaves are owned."""

from __future__ import annotations

import json

from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS
from tests.fake_api.refusal import Refusal

IDENTITY = {("metadata", "name"), ("metadata", "namespace"), ("apiVersion",), ("kind",)}
FIXED_OF_A_JOB = ("template", "selector", "completionMode", "podFailurePolicy", "completions")


def copied(value):
    """Five times as fast as `deepcopy`, for what came as JSON."""
    return json.loads(json.dumps(value))


def leaves(value, path=()):
    """Path → value, of everything but maps."""
    if isinstance(value, dict) and value:
        return {p: v for key, inner in value.items() for p, v in leaves(inner, (*path, key)).items()}
    return {path: value}


def applied(before, manifest, manager, *, force):
    """`before` with the fields of `manifest`, owned by `manager`. Raises 409 if others own one and differ."""
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
    """RFC 7386."""
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
    """Fields that may not change, as (field, message)."""
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
