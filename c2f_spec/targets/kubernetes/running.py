"""Plans that are running, as the cluster knows them: a ConfigMap each, with its keys, and a driver.

`cancel` and `delete` ask here who else needs a stage, so that nobody's experiment ends with another one's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.targets.kubernetes.render import names
from c2f_spec.targets.kubernetes.resources import CONFIGMAPS, JOBS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.targets.kubernetes.client import Client

PLANS = f"{names.MANAGED_BY}={names.MANAGER},app.kubernetes.io/component=plan"
DRIVERS = f"{names.MANAGED_BY}={names.MANAGER},app.kubernetes.io/component=driver"


class Running(NamedTuple):
    """One plan that the cluster is at."""

    digest: str
    name: str
    keys: frozenset[str]
    """Of its stages."""


def running(client: Client) -> list[Running]:
    """Plans whose driver has not ended. One that is driven by `apply --wait` has no driver's Job and counts as well."""
    ended = {
        job["metadata"]["name"]
        for job in client.list(JOBS, labels=DRIVERS)
        if any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True"
            for c in job.get("status", {}).get("conditions", ())
        )
    }
    found = []
    for item in client.list(CONFIGMAPS, labels=PLANS):
        data = item.get("data") or {}
        if "digest" in data and names.driver_name(data["digest"]) not in ended:
            keys = frozenset(entry["key"] for entry in json.loads(data.get("keys", "[]")))
            found.append(Running(data["digest"], data.get("name", ""), keys))
    return found


def followers(plans: Iterable[Running], digest: str) -> dict[str, tuple[str, ...]]:
    """Key → names of the other plans that need it."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        if plan.digest != digest:
            for key in plan.keys:
                found.setdefault(key, []).append(plan.name or plan.digest[:10])
    return {key: tuple(sorted(set(who))) for key, who in found.items()}
