"""Rights of RBAC in tests: those that rules grant, and those that requests need."""

from __future__ import annotations

import re

REQUEST = re.compile(
    r"/apis?/(?:([a-z0-9.]+)/)?v[0-9a-z]+/(?:namespaces/[^/]+/)?([a-z]+)(?:/([^/?]+))?(?:/([a-z]+))?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def granted(*roles):
    """Return (group, resource, verb) of every right in the rules of roles."""
    return {
        (group, resource, verb)
        for role in roles
        for rule in role.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def needed(requests):
    """Return the rights that requests to `FakeApi` need. Applying what is missing needs `create`, too."""
    rights = set()
    for method, path in requests:
        address, _, query = path.partition("?")
        found = REQUEST.fullmatch(address)
        assert found, path
        group, resource, name, sub = found.groups()
        reading = "get" if name else "watch" if "watch=1" in query else "list"
        resource = f"{resource}/{sub}" if sub else resource
        rights.add((group or "", resource, VERBS.get(method, reading)))
        if method == "PATCH":
            rights.add((group or "", resource, "create"))
    return rights
