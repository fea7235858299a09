"""The backend of Kubernetes: what the registry of targets (`targets/base.py`) makes of a cluster's environment.

Modules of the cluster are imported where they are used: a verb that only asks what the backend can do needs no client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import HealthCheck, error
from c2f_spec.errors import C2fError
from c2f_spec.spec.handoff import StageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.plan.verify import Evidence
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Backend
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.control import Cluster
    from c2f_spec.targets.kubernetes.target import Kubernetes


class KubernetesBackend:
    """A Job a stage, created by a driver pod."""

    renders_manifests = True
    has_driver = True

    def open_target(self, environment: KubernetesEnvironment, store: ObjectStore, plan: Plan) -> Kubernetes:
        from c2f_spec.targets.kubernetes.target import Kubernetes

        target = Kubernetes(store, _client(environment), plan)
        target.load()
        return target

    def open_control(self, environment: KubernetesEnvironment, store: ObjectStore) -> Cluster:
        from c2f_spec.targets.kubernetes.control import Cluster

        return Cluster(_client(environment), store, environment)

    def stage_file(self, plan: Plan, stage: Stage, store: ObjectStore) -> StageFile:  # noqa: ARG002
        from c2f_spec.targets.kubernetes.manifests.stage import stage_file

        return StageFile.model_validate_json(stage_file(plan, stage))

    def evidence(self, environment: KubernetesEnvironment, plan: Plan) -> dict[str, Evidence]:
        from c2f_spec.targets.kubernetes.snapshot import evidence

        return evidence(_client(environment), plan)

    def examine(self, environment: KubernetesEnvironment) -> Iterator[HealthCheck]:
        from c2f_spec.targets.kubernetes.doctor import examine
        from c2f_spec.targets.kubernetes.doctor.cluster import Site

        try:
            client = _client(environment)
        except C2fError as problem:
            yield error("cluster", problem.message, problem.hint)
            return
        yield from examine(Site(environment, client))


def _client(environment: KubernetesEnvironment) -> Client:
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.kubeconfig import find_access

    return Client(find_access(), namespace=environment.namespace)


BACKEND: Backend = KubernetesBackend()
