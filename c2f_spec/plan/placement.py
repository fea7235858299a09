"""Place each stage of an experiment: by the spec's `resources` and `checkpoints`, the rest by the environment.

Pure. `placement_problems` finds stages without a place, at their fields of the spec; `placements` places the others.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from c2f_spec.cost.sizes import GIB, size_of
from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.keys import STAGE_KINDS, TRAINING
from c2f_spec.language.suggestions import suggest
from c2f_spec.plan.model_servers import endpoint_of
from c2f_spec.spec.base import at_default
from c2f_spec.spec.environment import has_pools
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.handoff import Placement, VllmPlace
from c2f_spec.spec.hint import OfflineList
from c2f_spec.spec.resources import SharedResources, TrainingResources, resolve_zero
from c2f_spec.spec.student import Lora, QwenOmni
from c2f_spec.spec.teacher import OwnWeights, VllmTeacher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.cluster import KubernetesEnvironment, Pool
    from c2f_spec.spec.environment import Environment, LocalEnvironment
    from c2f_spec.spec.experiment import Experiment

DEFAULT_MOST_GPUS = 4
"""GPUs of a training stage that does not say how many: the paper's 4 x A800."""
WEIGHTS_PER_GPU = 50 * GIB
"""Bytes of weights that leave a GPU of 80 GB room for the cache; the 59 GiB of the teacher do not (METHOD 8.4)."""


def placements(e: Experiment, environment: Environment) -> dict[str, Placement]:
    """Return the placement of every kind of stage."""
    return {kind: _with_model(e, kind, _placed(e, kind, environment)) for kind in STAGE_KINDS}


def _placed(e: Experiment, kind: str, environment: Environment) -> Placement:
    if not has_pools(environment):
        return _on_this_machine(e, kind, environment)
    return (
        _training_placement(e, kind, environment)
        if kind in TRAINING
        else _pod_placement(e, kind, environment)
    )


def _with_model(e: Experiment, kind: str, place: Placement) -> Placement:
    """Add how the student runs there, as far as that is in no key."""
    section = getattr(e, kind, None)
    if section is None or kind not in (*TRAINING, "evaluate"):
        return place
    found: dict[str, object] = {}
    if isinstance(e.student, QwenOmni) and e.student.attention != "auto":
        found["attention"] = e.student.attention
    engine = getattr(section, "engine", None)
    if isinstance(engine, VllmEngine):
        found["vllm"] = VllmPlace(
            mode=engine.mode, tensor_parallel=engine.tensor_parallel, memory=engine.memory, url=engine.url
        )
    return place.model_copy(update=found) if found else place


def placement_sections(e: Experiment, environment: Environment) -> tuple[object, ...]:
    """Return the sections that decide placements: variants with the same sections are placed alike."""
    judge = e.filters.judge if e.filters else None
    if not has_pools(environment):
        return (e.resources, e.checkpoints, e.student, e.teacher, judge, e.grpo, e.evaluate)
    return (e.resources, e.checkpoints, e.student, e.teacher, judge, e.sft, e.grpo, e.evaluate)


def _on_this_machine(e: Experiment, kind: str, environment: LocalEnvironment) -> Placement:
    """Return a placement without pools. Visible GPUs are counted where a stage starts; `gpus: 0` takes all of them."""
    if kind not in TRAINING:
        return Placement(
            threads=environment.threads,
            grace_seconds=environment.grace_seconds,
            hang_seconds=environment.hang_seconds,
            endpoint=endpoint_of(e, kind, environment),
        )
    resources = training_resources(e, kind)
    return Placement(
        threads=environment.threads,
        grace_seconds=environment.grace_seconds,
        hang_seconds=environment.hang_seconds,
        gpus=resources.gpus or 0,
        zero=resources.zero,
        micro_batch=resources.micro_batch,
        checkpoints=e.checkpoints,
        guard=e.guard,
        hard_samples=_list_uri(e, kind),
    )


def _training_placement(e: Experiment, kind: str, environment: KubernetesEnvironment) -> Placement:
    resources, name = training_resources(e, kind), pool_of(e, kind, environment)
    nodes = resources.nodes or 1
    gpus = _requested_gpus(e, kind)
    if not gpus and _on_gpus(e, kind):
        gpus = _shared_evenly(e, kind, environment.pools[name], nodes)
    section = getattr(e, kind)
    lora = section is not None and isinstance(section.tuner, Lora)
    return Placement(
        image=_image(e, kind, environment),
        grace_seconds=environment.limits.grace_seconds,
        hang_seconds=environment.limits.hang_seconds,
        pool=name,
        gpus=gpus,
        nodes=nodes,
        zero=resolve_zero(resources.zero, lora=lora, processes=gpus * nodes),
        micro_batch=resources.micro_batch,
        checkpoints=e.checkpoints,
        guard=e.guard,
        hard_samples=_list_uri(e, kind),
        processes=max(1, gpus),
    )


def _pod_placement(e: Experiment, kind: str, environment: KubernetesEnvironment) -> Placement:
    return Placement(
        image=_image(e, kind, environment),
        grace_seconds=environment.limits.grace_seconds,
        hang_seconds=environment.limits.hang_seconds,
        pool=pool_of(e, kind, environment),
        gpus=_requested_gpus(e, kind),
        shards=shared_resources(e, kind).shards or 1,
        endpoint=endpoint_of(e, kind, environment),
    )


def _image(e: Experiment, kind: str, environment: KubernetesEnvironment) -> str:
    """Return the image in which a stage runs; `engine_problems` refuses an engine without an image."""
    vllm = isinstance(getattr(getattr(e, kind, None), "engine", None), VllmEngine)
    return environment.engine_image or environment.image if vllm else environment.image


def _list_uri(e: Experiment, kind: str) -> str | None:
    """Return the address of an offline list of hard samples; its digest is in the key."""
    if kind != "grpo" or e.grpo is None or not isinstance(e.grpo.hint.trigger, OfflineList):
        return None
    return e.grpo.hint.trigger.uri


def training_resources(e: Experiment, kind: str) -> TrainingResources:
    """Return the resources that the spec gives `sft` or `grpo`."""
    resources: TrainingResources | None = getattr(e.resources, kind)
    return resources or at_default(TrainingResources)


def shared_resources(e: Experiment, kind: str) -> SharedResources:
    """Return the resources that the spec gives a stage that does not train."""
    resources: SharedResources | None = getattr(e.resources, kind, None)
    return resources or at_default(SharedResources)


def resources_of(e: Experiment, kind: str) -> TrainingResources | SharedResources:
    """Return the resources that the spec gives a stage."""
    return training_resources(e, kind) if kind in TRAINING else shared_resources(e, kind)


def pool_of(e: Experiment, kind: str, environment: KubernetesEnvironment) -> str:
    """Return the pool that the spec names, or the first with GPUs; what needs none goes to the pool of processors."""
    resources = resources_of(e, kind)
    if resources.pool is not None:
        return resources.pool
    least = _requested_gpus(e, kind) or int(_on_gpus(e, kind))
    able = [name for name, pool in environment.pools.items() if pool.gpus >= least] if least else []
    return able[0] if able else environment.cpu_pool


def _requested_gpus(e: Experiment, kind: str) -> int:
    """Return GPUs of a node by the spec or by the model's weights; 0 where training leaves it open or none is needed."""
    resources = resources_of(e, kind)
    if resources.gpus is not None:
        return resources.gpus
    if kind == "evaluate" and _on_gpus(e, kind):
        return _tensor_parallel(e, kind)
    if kind == "distil" and isinstance(e.teacher, OwnWeights):
        return max(_tensor_parallel(e, kind), _for_weights(e.teacher.model))
    return 0


def _on_gpus(e: Experiment, kind: str) -> bool:
    """Return whether a stage runs a model that is too big for a CPU."""
    if kind == "distil":
        return isinstance(e.teacher, OwnWeights)
    return kind in (*TRAINING, "evaluate") and isinstance(e.student, QwenOmni)


def _tensor_parallel(e: Experiment, kind: str) -> int:
    """Return the GPUs that share each layer of the model that a stage runs."""
    if kind == "distil":
        return e.teacher.tensor_parallel if isinstance(e.teacher, VllmTeacher) else 1
    engine = e.evaluate.engine if e.evaluate else None
    return engine.tensor_parallel if isinstance(engine, VllmEngine) else 1


def _for_weights(model: str) -> int:
    size = size_of(model)
    return ceil(size.weights / WEIGHTS_PER_GPU) if size else 1


def _shared_evenly(e: Experiment, kind: str, pool: Pool, nodes: int) -> int:
    """Return the most GPUs of a node, four at most, over which the rows of a step divide."""
    section = getattr(e, kind)
    rows = section.batch * (section.generations if kind == "grpo" else 1) if section else 1
    most = min(DEFAULT_MOST_GPUS, pool.gpus)
    return next((n for n in range(most, 0, -1) if rows % (n * nodes) == 0), most)


# ---- what cannot be


def placement_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield stages of an experiment for which the environment `name` has no place."""
    if not has_pools(environment):
        return
    for kind in _kinds_of(e):
        resources = resources_of(e, kind)
        if resources.pool is not None and resources.pool not in environment.pools:
            yield _no_pool(kind, resources.pool, environment, name)
            continue
        if _on_gpus(e, kind) or resources.gpus:
            yield from _too_many_gpus(e, kind, environment, name)
        if kind in TRAINING:
            yield from _too_many_nodes(e, kind, environment, name)


def _kinds_of(e: Experiment) -> list[str]:
    """Return the kinds of stages that a spec runs and places."""
    sections = {"distil": e.teacher, "sft": e.sft, "grpo": e.grpo, "evaluate": e.evaluate}
    return [kind for kind, section in sections.items() if section is not None]


def _no_pool(kind: str, pool: str, environment: KubernetesEnvironment, name: str) -> Problem:
    message = f"the environment `{name}` has no pool `{pool}`"
    return Problem("C2F431", ("resources", kind, "pool"), message, suggest(pool, list(environment.pools)))


def _too_many_gpus(
    e: Experiment, kind: str, environment: KubernetesEnvironment, name: str
) -> Iterator[Problem]:
    pool = pool_of(e, kind, environment)
    has, needs = environment.pools[pool].gpus, max(1, _requested_gpus(e, kind))
    if has >= needs:
        return
    resources = resources_of(e, kind)
    where: tuple[str, ...] = ("teacher",) if kind == "distil" else (kind,)
    if resources.gpus is not None:
        where = ("resources", kind, "gpus")
    elif resources.pool is not None:
        where = ("resources", kind, "pool")
    most = max(p.gpus for p in environment.pools.values())
    able = [n for n, p in environment.pools.items() if p.gpus >= needs]
    hint = (
        f"use pool {' or '.join(f'`{n}`' for n in able)}"
        if able
        else f"`{name}` has at most {most} on a node"
    )
    have = f"nodes of pool `{pool}` in `{name}` have {has or 'none'}"
    message = f"`{kind}` needs {needs} GPU{'s' * (needs > 1)} on a node, and {have}"
    yield Problem("C2F432", where, message, hint, at_key=where == (where[0],))


def _too_many_nodes(
    e: Experiment, kind: str, environment: KubernetesEnvironment, name: str
) -> Iterator[Problem]:
    """Yield stages of more nodes than there are, or of several without a scheduler that starts their pods together."""
    nodes, pool = training_resources(e, kind).nodes or 1, pool_of(e, kind, environment)
    has, loc = environment.pools[pool].nodes, ("resources", kind, "nodes")
    if has is not None and nodes > has:
        message = f"`{kind}` on {nodes} nodes, and pool `{pool}` in `{name}` has {has}"
        yield Problem("C2F434", loc, message, f"use {has} or fewer")
    elif nodes > 1 and environment.scheduler.kind == "default":
        message = f"`{kind}` on {nodes} nodes, whose pods the default scheduler of `{name}` starts one by one"
        yield Problem("C2F434", loc, message, "use one node, or an environment with Kueue or Volcano")
