"""Before anything is started: would the server take every kind of object that the plan needs?

A server checks a Job and not the pods it will make: what Pod Security, quotas or a missing PriorityClass would keep
from ever running is found by asking for the bare pod, as a dry run. Stages of one kind in one pool differ in names and
in the text of a ConfigMap alone, so one of each is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.kubernetes.errors import Absent, ApiError, Conflict, Forbidden, Rejected, Warned
from c2f_spec.targets.kubernetes.resources import JOBS, PODS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.plan.model import Stage
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.target import Request


class Refused(NamedTuple):
    """One reason why a stage, or the driver, would not run."""

    stage: Stage | None
    field: str
    """Path in the manifest; empty if the server named none."""
    message: str


class Found(NamedTuple):
    """What a preflight found."""

    refused: list[Refused]
    unchecked: list[str]
    """What could not be asked, in words."""


def preflight(client: Client, requests: Iterable[Request], driver: Iterable[dict[str, Any]]) -> Found:
    """Ask for one stage of each kind and pool, and for the driver's objects. Raises `Unreachable`.

    Raises `Forbidden` if we may not even ask for Jobs: `doctor` says what is missing.
    """
    found = Found([], [])
    for item in driver:
        _ask(client, item, None, found)
    for request in _one_of_each(requests):
        for item in request.objects:
            _ask(client, item, request.stage, found)
    told = {(r.stage.key if r.stage else "", r.field, r.message): r for r in found.refused}
    return Found([*told.values()], list(dict.fromkeys(found.unchecked)))


def _one_of_each(requests: Iterable[Request]) -> list[Request]:
    seen: dict[tuple[str, str], Request] = {}
    for request in requests:
        placement = request.stage.placement.model_dump_json()
        seen.setdefault((request.stage.kind, placement), request)
    return list(seen.values())


def _ask(client: Client, item: dict[str, Any], stage: Stage | None, found: Found) -> None:
    try:
        client.apply(item, dry_run=True)
        if item["kind"] == JOBS.kind:
            client.create(pod_of(item), dry_run=True)
    except (Absent, Rejected, Warned) as error:
        causes = error.causes or (("", error.told),)
        found.refused.extend(Refused(stage, field, message) for field, message in causes)
    except Conflict:
        return  # it is there already, and somebody else owns a field of it: nothing that a preflight can say
    except Forbidden as error:
        if _by_rights(error, PODS.plural):
            found.unchecked.append(
                "pods were not checked beforehand: this identity may not create any (`create pods`)"
            )
        elif _by_rights(error, ""):
            raise
        else:
            found.refused.append(Refused(stage, "", error.told))


def _by_rights(error: ApiError, plural: str) -> bool:
    """RBAC says so, and not one of the admission plugins, which answer 403 as well."""
    return f'cannot create resource "{plural}' in error.told or (
        not plural and (f'cannot patch resource "{plural}' in error.told or error.status == 401)
    )


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """The bare pod that a Job would make."""
    template, metadata = job["spec"]["template"], job["metadata"]
    name = f"{metadata['name']}-preflight"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template.get("metadata", {}), "name": name, "namespace": metadata["namespace"]},
        "spec": template["spec"],
    }
