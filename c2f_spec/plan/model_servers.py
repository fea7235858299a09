"""Find the endpoints of models that stages call, and what an environment lacks for them: images, version, key.
images, version, key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.language.suggestions import suggest
from c2f_spec.spec.environment import has_pools
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.handoff import Endpoint
from c2f_spec.spec.hint import OfflineList
from c2f_spec.spec.teacher import OpenaiTeacher, VllmTeacher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.filters import Judge

SIDECAR_PORT = 8000
SIDECAR_URL = f"http://127.0.0.1:{SIDECAR_PORT}/v1"
"""Address of a server in the stage's own pod."""


def endpoint_of(e: Experiment, kind: str, environment: Environment) -> Endpoint | None:
    """Return the endpoint that a stage of this kind calls, if any; without a URL the stage serves the model itself."""
    teacher = e.teacher if kind == "distil" else None
    model = _endpoint_model(e, kind)
    if model is not None:
        variable = _variable(model.secret, environment)
        return Endpoint(url=model.endpoint, variable=variable, client=model.client)
    if isinstance(teacher, VllmTeacher):
        return Endpoint(
            url=SIDECAR_URL if has_pools(environment) else None,
            client=teacher.client,
            tensor_parallel=teacher.tensor_parallel,
            memory=teacher.memory,
        )
    return None


def _endpoint_model(e: Experiment, kind: str) -> OpenaiTeacher | Judge | None:
    """Return the section of the model behind an endpoint that a stage of this kind calls."""
    if kind == "distil" and isinstance(e.teacher, OpenaiTeacher):
        return e.teacher
    return e.filters.judge if kind == "filter" and e.filters else None


def secret_of(e: Experiment, kind: str) -> str | None:
    """Return the name of the secret with the key that a stage of this kind needs."""
    model = _endpoint_model(e, kind)
    return model.secret if model else None


def _variable(secret: str | None, environment: Environment) -> str | None:
    """Return the environment variable with a secret's key; on this machine one that is set for it on purpose."""
    if secret is None:
        return None
    if not has_pools(environment):
        return f"C2F_SECRET_{secret.upper().replace('-', '_')}"
    known = environment.secrets.get(secret)  # one that is not there is told by `unserved`
    return next(iter(known.env)) if known else None


def server_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield what the environment `name` lacks to serve or reach a teacher and a judge."""
    if not has_pools(environment):
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
    for kind, place in (("distil", ("teacher", "secret")), ("filter", ("filters", "judge", "secret"))):
        secret, known = secret_of(e, kind), environment.secrets
        if secret is not None and (secret not in known or len(known[secret].env) > 1):
            missing = secret not in known
            several = f"the secret `{secret}` of `{name}` gives several variables, and a key is one"
            message = f"the environment `{name}` has no secret `{secret}`" if missing else several
            way = suggest(secret, list(known)) if missing else "name a secret with the key alone"
            yield Problem("C2F459", place, message, way)


def engine_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield sections with `engine: vllm` that the environment `name` cannot run.

    Nothing here starts a server for `mode: server`: one that somebody started is behind our network policies, and its
    workers would have to reach the training pod, for weights, on ports that these keep closed.
    """
    if not has_pools(environment):
        return
    for kind, section in (("grpo", e.grpo), ("evaluate", e.evaluate)):
        if section is None or not isinstance(section.engine, VllmEngine):
            continue
        if section.engine.mode == "server":
            message = (
                f"on `{name}` no stage can give a server of vLLM its weights: the way between pods is closed"
            )
            hint = "use `mode: colocate`, or `engine: transformers`; a server is for `local`"
            yield Problem("C2F460", (kind, "engine"), message, hint)
        elif environment.engine_image is None:
            message = (
                f"vLLM generates for `{kind}`, and `{name}` names no image that has both the runtime and vLLM"
            )
            hint = "set `engine_image` in the environment (k8s/README.md, 2), or use `engine: transformers`"
            yield Problem("C2F460", (kind, "engine"), message, hint)


def list_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield a list of hard samples that pods cannot read."""
    if environment.on_this_machine or e.grpo is None or e.grpo.hint.hard_policy == "keep":
        return
    trigger = e.grpo.hint.trigger
    if isinstance(trigger, OfflineList) and trigger.uri is not None and not trigger.uri.startswith("s3://"):
        message = f"`{trigger.uri}` is a file of this machine, and pods of `{name}` do not see it"
        hint = "copy it to a bucket that stages can read, and write `s3://bucket/path`; its digest stays"
        yield Problem("C2F462", ("grpo", "hint", "trigger", "uri"), message, hint)
