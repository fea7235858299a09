"""Answer the discovery requests of `kubectl`."""

from __future__ import annotations

from c2f_spec.targets.kubernetes.client import RESOURCES
from tests.fake_api.objects import Refusal


def discovery_answer(path):
    """Return the answer to a discovery request, in the old form that `kubectl` falls back to."""
    groups = sorted({r.api_version for r in RESOURCES.values() if "/" in r.api_version})
    parts = path.strip("/").split("/")
    if parts == ["version"]:
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0+fake", "platform": "linux/amd64"}
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if parts == ["apis"]:
        listed = [
            {
                "name": g.split("/")[0],
                "versions": [{"groupVersion": g, "version": g.split("/")[1]}],
                "preferredVersion": {"groupVersion": g, "version": g.split("/")[1]},
            }
            for g in groups
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    version = "/".join(parts[1:])
    found = [r for r in RESOURCES.values() if r.api_version == version]
    if not found:
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {
            "name": r.plural,
            "singularName": r.kind.lower(),
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": verbs,
        }
        for r in found
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
