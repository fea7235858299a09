"""Check the server itself: its version, its clock, the namespace and the Pod Security level that it enforces."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.targets.kubernetes.client import NAMESPACES

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.targets.kubernetes.client import Client

LEVELS = ("privileged", "baseline", "restricted")
"""Levels of Pod Security, from loose to strict."""
ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: the level that it enforces."""
SKEW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """An environment, and a client in its namespace."""

    environment: KubernetesEnvironment
    client: Client


def check_version(site: Site) -> list[HealthCheck]:
    """Check that the server is no older than the version that objects are rendered for; a newer one accepts them."""
    version = site.client.raw("/version")
    minor = int(re.match(r"\d+", str(version["minor"]))[0])  # type: ignore[index]  # a provider may write `33+`
    served, rendered = f"{version['major']}.{minor}", site.environment.kubernetes
    if (int(version["major"]), minor) < tuple(map(int, rendered.split("."))):
        fix = f'set `kubernetes: "{served}"` in the environment'
        return [error("server version", f"{served}, older than {rendered} of the environment", fix)]
    newer = f", rendered for {rendered}" if served != rendered else ""
    return [ok("server version", f"{version.get('gitVersion', served)}{newer}")]


def check_clock(site: Site) -> list[HealthCheck]:
    """Compare this clock with the Date of an answer, which counts whole seconds, less half of its way."""
    before = time.time()
    date = site.client.transport.send("GET", "/version").headers.get("Date")
    after = time.time()
    if date is None:
        return [warning("clock", "the server sends no date", "compare `date` on this machine and on a node")]
    skew = abs(parsedate_to_datetime(date).timestamp() + 0.5 - (before + after) / 2)
    if skew > SKEW_SECONDS:
        fix = "set the clocks by NTP: leases and signatures depend on them"
        return [warning("clock", f"differs from the clock of the server by {skew:.0f} s", fix)]
    return [ok("clock", f"agrees with the clock of the server to {max(1.0, skew):.0f} s")]


def check_namespace(site: Site) -> list[HealthCheck]:
    """Check that the namespace exists, and enforces no more than the environment's pods keep."""
    name, rendered = site.environment.namespace, site.environment.pod_security
    namespace, what = site.client.get(NAMESPACES, name), f"namespace {name}"
    if namespace is None:
        return [error(what, "not found", "run `kubectl apply -k k8s/overlays/namespace`")]
    enforced = namespace["metadata"].get("labels", {}).get(ENFORCE)
    if enforced is None:
        fix = f"run `kubectl label namespace {name} {ENFORCE}={rendered}`"
        return [warning(what, "enforces no Pod Security level", fix)]
    if LEVELS.index(enforced) > LEVELS.index(rendered):
        detail = (
            f"enforces Pod Security `{enforced}` and would forbid pods that are rendered for `{rendered}`"
        )
        fix = f"set `pod_security: {enforced}` in the environment, or label the namespace {rendered}"
        return [error(what, detail, fix)]
    return [ok(what, f"enforces Pod Security `{enforced}`")]
