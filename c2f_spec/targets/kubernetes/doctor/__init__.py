"""Check a cluster for what an environment needs: the checks of `doctor`, each of which returns findings.

Nothing is changed. What the identity may not read is a warning: not every user may list nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, warning
from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.doctor.cluster import (
    check_clock,
    check_namespace,
    check_pools,
    check_version,
)
from c2f_spec.targets.kubernetes.doctor.images import check_images
from c2f_spec.targets.kubernetes.doctor.permissions import check_accounts, check_rights, check_secrets
from c2f_spec.targets.kubernetes.doctor.queues import check_queue
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.targets.kubernetes.doctor.cluster import Site

CHECKS: dict[str, Callable[[Site], list[HealthCheck]]] = {
    "server version": check_version,
    "clock": check_clock,
    "namespace": check_namespace,
    "rights": check_rights,
    "service accounts": check_accounts,
    "secrets": check_secrets,
    "queue": check_queue,
    "pools": check_pools,
    "images": check_images,
}
"""By name, in the order in which a finding explains the next."""


def examine(site: Site) -> Iterator[HealthCheck]:
    """Yield the findings of every check as they come. A server that does not answer the first one ends them."""
    for name, check in CHECKS.items():
        try:
            yield from check(site)
        except Forbidden as refusal:
            detail = f"permission denied to this identity: {refusal.detail[:160]}"
            yield warning(name, detail, "ask the administrator of the cluster")
        except Unreachable as problem:
            yield error(name, problem.message, problem.hint)
            if check is check_version:
                return
