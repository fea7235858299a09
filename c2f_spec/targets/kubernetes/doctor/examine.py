"""All questions, in the order in which an answer explains the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.health import Finding, error, warning
from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.doctor import images, nodes, permissions, queues, server
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.targets.kubernetes.doctor import Site

QUESTIONS: dict[str, Callable[[Site], list[Finding]]] = {
    "server version": server.version,
    "clock": server.clock,
    "namespace": server.namespace,
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
