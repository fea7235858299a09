"""Everything that is rendered is judged before it is shown or sent: by schema, and by the level of Pod Security."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import Diagnostic, SpecErrors
from c2f_spec.targets.kubernetes.blame import blame
from c2f_spec.targets.kubernetes.render.schema import wrong
from c2f_spec.targets.kubernetes.render.security import violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.document import Document
    from c2f_spec.spec.cluster import KubernetesEnvironment

TEMPLATE = "spec.template.spec"
MOST = 20
"""Complaints that are shown; most are one, once a stage."""
HINT = "`pod_template` is the part of a pod that an environment writes itself; correct it there"


class Complaint(NamedTuple):
    """What is wrong with one object."""

    object: str
    """`Job sft-096a48becb-r0`."""
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.object}: {self.path}: {self.message}"


def complaints(objects: list[dict[str, Any]], environment: KubernetesEnvironment) -> list[Complaint]:
    """None, if an API server of the environment's version and its namespace would take all of them."""
    return [complaint for item in objects for complaint in _of(item, environment)]


def _of(item: dict[str, Any], environment: KubernetesEnvironment) -> Iterator[Complaint]:
    name = f"{item['kind']} {item['metadata']['name']}"
    for path, message in wrong(item, environment.kubernetes):
        yield Complaint(name, path, message)
    if item["kind"] == "Job":
        pod = item["spec"]["template"]["spec"]
        for path, message in violations(pod, environment.pod_security):
            yield Complaint(
                name, f"{TEMPLATE}.{path}", f"{message} (Pod Security `{environment.pod_security}`)"
            )


def check(objects: list[dict[str, Any]], environment: KubernetesEnvironment, document: Document) -> None:
    """Raises `SpecErrors` with what a server would refuse, at the lines of the environment's `document`.

    It comes from the environment's `pod_template`, or is a mistake of ours.
    """
    told = {(c.object.partition(" ")[0], c.path, c.message): c for c in complaints(objects, environment)}
    problems = []
    for kind, path, message in list(told)[:MOST]:
        loc = blame(path, message, None, environment, {}).loc
        what = f"Kubernetes {environment.kubernetes} would refuse each {kind}: `{path}`: {message}"
        problems.append(Diagnostic("C2F455", document.place(loc), what, HINT))
    if problems:
        raise SpecErrors(problems)
