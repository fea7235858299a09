"""What every question is asked of."""

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
