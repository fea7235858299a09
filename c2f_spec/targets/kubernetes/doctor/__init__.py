"""What `doctor` looks at in a cluster: a function a question, each answered ok, warning or error with the way out.

Nothing is changed. What the identity may not see is a warning that says so: not every user may list nodes, and the
answer is then somebody else's to give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.targets.kubernetes.client import Client


@dataclass(frozen=True, slots=True)
class Site:
    """An environment and a way into its cluster."""

    environment: KubernetesEnvironment
    client: Client
    """In the environment's namespace."""
