"""Whether an environment has what the teacher of a spec needs beside a pool: a server's image, a version, a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.lookalikes import suggest
from c2f_spec.parse.problem import Problem
from c2f_spec.spec.teacher import OpenaiTeacher, VllmTeacher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment


def unserved(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """What the environment `name` lacks."""
    if environment.kind == "local":
        return
    if isinstance(e.teacher, VllmTeacher):
        where = ("teacher", "kind")
        if environment.vllm_image is None:
            message = f"a teacher of kind `vllm` needs a server, and `{name}` names no image of one"
            yield Problem(
                "C2F458", where, message, "set `vllm_image` in the environment, or use `transformers`"
            )
        if environment.kubernetes == "1.28":
            message = (
                f"a teacher of kind `vllm` needs native sidecars, which Kubernetes 1.28 of `{name}` has not"
            )
            yield Problem("C2F458", where, message, "use `transformers`, or a cluster of 1.29 or newer")
    if isinstance(e.teacher, OpenaiTeacher) and e.teacher.secret is not None:
        known = list(environment.secrets)
        if e.teacher.secret not in known:
            message = f"the environment `{name}` has no secret `{e.teacher.secret}`"
            yield Problem("C2F459", ("teacher", "secret"), message, suggest(e.teacher.secret, known))
