"""The server itself: its version, its clock, the namespace and what it enforces."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.health import Finding, error, ok, warning
from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.client import NAMESPACES
from c2f_spec.targets.kubernetes.doctor import images, nodes, permissions, queues
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.targets.kubernetes.doctor import Site


QUESTIONS: dict[str, Callable[[Site], list[Finding]]] = {
    "server version": version,
    "clock": clock,
    "namespace": namespace,
    "rights": permissions.rights,
    "service accounts": permissions.accounts,
    "secrets": permissions.secrets,
    "queue": queues.queue,
    "pools": nodes.pools,
    "images": images.images,
}


def examine(site: Site) -> Iterator[Finding]:
    """Every answer as it comes. A server that does not answer at all ends it: nothing else would be news."""
    for what, ask in QUESTIONS.items():
        try:
            yield from ask(site)
        except Forbidden as refusal:
            yield warning(
                what, f"may not be seen by this identity: {refusal.told[:160]}", "ask who runs the cluster"
            )
        except Unreachable as problem:
            yield error(what, problem.message, problem.hint)
            if what == "server version":
                return


LEVELS = ("privileged", "baseline", "restricted")
"""Of Pod Security, from loose to strict."""
ENFORCE = "pod-security.kubernetes.io/enforce"
SKEW_SECONDS = 30.0


def version(site: Site) -> list[Finding]:
    """Rendered objects use what the environment's version has; an older server refuses it, a newer one takes it."""
    told = site.client.raw("/version")
    minor = int(re.match(r"\d+", str(told["minor"]))[0])  # type: ignore[index]  # a provider may write `33+`
    served = f"{told['major']}.{minor}"
    asked = site.environment.kubernetes
    if (int(told["major"]), minor) < tuple(map(int, asked.split("."))):
        fix = f'say `kubernetes: "{served}"` in the environment'
        return [error("server version", f"{served}, and the environment renders for {asked}", fix)]
    newer = f", rendered for {asked}" if served != asked else ""
    return [ok("server version", f"{told.get('gitVersion', served)}{newer}")]


def clock(site: Site) -> list[Finding]:
    """By the Date of an answer, which counts whole seconds, half of its way here taken off."""
    before = time.time()
    answer = site.client.transport.send("GET", "/version")
    after = time.time()
    date = answer.headers.get("Date")
    if date is None:
        return [warning("clock", "the server's answers have no date", "compare `date` here and on a node")]
    skew = abs(parsedate_to_datetime(date).timestamp() + 0.5 - (before + after) / 2)
    if skew > SKEW_SECONDS:
        fix = "set the clocks by NTP: leases and signatures depend on them"
        return [warning("clock", f"the server's and ours are {skew:.0f} s apart", fix)]
    return [ok("clock", f"agrees with the server's to {max(1.0, skew):.0f} s")]


def namespace(site: Site) -> list[Finding]:
    """It exists, and enforces no more than the environment's pods keep."""
    name, ours = site.environment.namespace, site.environment.pod_security
    found = site.client.get(NAMESPACES, name)
    what = f"namespace {name}"
    if found is None:
        return [error(what, "does not exist", "kubectl apply -k k8s/ makes it")]
    level = found["metadata"].get("labels", {}).get(ENFORCE)
    if level is None:
        fix = f"kubectl label namespace {name} {ENFORCE}={ours}"
        return [warning(what, "enforces no Pod Security level", fix)]
    if LEVELS.index(level) > LEVELS.index(ours):
        fix = f"say `pod_security: {level}` in the environment, or label the namespace {ours}"
        return [
            error(what, f"enforces `{level}`, and pods are made for `{ours}`: they would be refused", fix)
        ]
    return [ok(what, f"enforces Pod Security `{level}`")]
