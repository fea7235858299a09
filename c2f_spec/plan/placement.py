"""Where each stage of an experiment runs: the spec's `resources` and `checkpoints`, the rest from the environment.

Pure. `misplaced` finds what cannot be, with its place in the spec; `placements` answers for what passed it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from c2f_spec.cost.sizes import GIB, size_of
from c2f_spec.diagnostics.diagnostic import Problem
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

TRAINING = ("sft", "grpo")
KINDS = ("prepare", "distil", "filter", *TRAINING, "merge", "evaluate", "baseline")
MOST_BY_DEFAULT = 4
"""GPUs of a training stage that does not say how many: the paper's 4 x A800."""
HELD_BY_A_GPU = 50 * GIB
"""Bytes of weights that leave a GPU of 80 GB room for the cache; the 59 GiB of the teacher do not (METHOD 8.4)."""


def placements(e: Experiment, environment: Environment) -> dict[str, Placement]:
    """The placement of every kind of stage."""
    return {kind: _with_model(e, kind, _placed(e, kind, environment)) for kind in KINDS}


def _placed(e: Experiment, kind: str, environment: Environment) -> Placement:
    if not has_pools(environment):
        return _on_this_machine(e, kind, environment)
    return _trained(e, kind, environment) if kind in TRAINING else _shared(e, kind, environment)


def _with_model(e: Experiment, kind: str, place: Placement) -> Placement:
    """How the student runs there, as far as that is in no key."""
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


def decided_by(e: Experiment, environment: Environment) -> tuple[object, ...]:
    """The sections that placements are made of: variants that have the same ones are placed alike."""
    judge = e.filters.judge if e.filters else None
    if not has_pools(environment):
        return (e.resources, e.checkpoints, e.student, e.teacher, judge, e.grpo, e.evaluate)
    return (e.resources, e.checkpoints, e.student, e.teacher, judge, e.sft, e.grpo, e.evaluate)


def _on_this_machine(e: Experiment, kind: str, environment: LocalEnvironment) -> Placement:
    """One node without pools. How many GPUs are visible is known where a stage starts; `gpus: 0` takes all of them."""
    if kind not in TRAINING:
        return Placement(
            threads=environment.threads,
            grace_seconds=environment.grace_seconds,
            hang_seconds=environment.hang_seconds,
            endpoint=endpoint_of(e, kind, environment),
        )
    asked = training(e, kind)
    return Placement(
        threads=environment.threads,
        grace_seconds=environment.grace_seconds,
        hang_seconds=environment.hang_seconds,
        gpus=asked.gpus or 0,
        zero=asked.zero,
        micro_batch=asked.micro_batch,
        checkpoints=e.checkpoints,
        guard=e.guard,
        hard_samples=_listed(e, kind),
    )


def _trained(e: Experiment, kind: str, environment: KubernetesEnvironment) -> Placement:
    asked, name = training(e, kind), pool_of(e, kind, environment)
    nodes = asked.nodes or 1
    gpus = _wanted(e, kind)
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
        zero=resolve_zero(asked.zero, lora=lora, processes=gpus * nodes),
        micro_batch=asked.micro_batch,
        checkpoints=e.checkpoints,
        guard=e.guard,
        hard_samples=_listed(e, kind),
        processes=max(1, gpus),
    )


def _shared(e: Experiment, kind: str, environment: KubernetesEnvironment) -> Placement:
    return Placement(
        image=_image(e, kind, environment),
        grace_seconds=environment.limits.grace_seconds,
        hang_seconds=environment.limits.hang_seconds,
        pool=pool_of(e, kind, environment),
        gpus=_wanted(e, kind),
        shards=sharing(e, kind).shards or 1,
        endpoint=endpoint_of(e, kind, environment),
    )


def _image(e: Experiment, kind: str, environment: KubernetesEnvironment) -> str:
    """That in which a stage runs; `unserved` refuses an engine without an image of its own."""
    vllm = isinstance(getattr(getattr(e, kind, None), "engine", None), VllmEngine)
    return environment.engine_image or environment.image if vllm else environment.image


def _listed(e: Experiment, kind: str) -> str | None:
    """Where an offline list of hard samples lies; its digest is in the key."""
    if kind != "grpo" or e.grpo is None or not isinstance(e.grpo.hint.trigger, OfflineList):
        return None
    return e.grpo.hint.trigger.uri


def training(e: Experiment, kind: str) -> TrainingResources:
    """What the spec says of `sft` or `grpo`."""
    asked: TrainingResources | None = getattr(e.resources, kind)
    return asked or at_default(TrainingResources)


def sharing(e: Experiment, kind: str) -> SharedResources:
    """What the spec says of a stage that does not train; of most it cannot say anything."""
    asked: SharedResources | None = getattr(e.resources, kind, None)
    return asked or at_default(SharedResources)


def pool_of(e: Experiment, kind: str, environment: KubernetesEnvironment) -> str:
    """The pool that the spec names, or the first with the GPUs; what needs none goes to the pool of processors."""
    asked = training(e, kind) if kind in TRAINING else sharing(e, kind)
    if asked.pool is not None:
        return asked.pool
    least = _wanted(e, kind) or int(_on_gpus(e, kind))
    able = [name for name, pool in environment.pools.items() if pool.gpus >= least] if least else []
    return able[0] if able else environment.cpu_pool


def _wanted(e: Experiment, kind: str) -> int:
    """GPUs of a node that the spec or the model's weights ask for; 0 where training leaves it open or none is needed."""
    asked = training(e, kind) if kind in TRAINING else sharing(e, kind)
    if asked.gpus is not None:
        return asked.gpus
    if kind == "evaluate" and _on_gpus(e, kind):
        return _tensor_parallel(e, kind)
    if kind == "distil" and isinstance(e.teacher, OwnWeights):
        return max(_tensor_parallel(e, kind), _for_weights(e.teacher.model))
    return 0


def _on_gpus(e: Experiment, kind: str) -> bool:
    """Whether a stage runs a model that is too big for a CPU."""
    if kind == "distil":
        return isinstance(e.teacher, OwnWeights)
    return kind in (*TRAINING, "evaluate") and isinstance(e.student, QwenOmni)


def _tensor_parallel(e: Experiment, kind: str) -> int:
    """GPUs that share each layer of the model that a stage runs."""
    if kind == "distil":
        return e.teacher.tensor_parallel if isinstance(e.teacher, VllmTeacher) else 1
    engine = e.evaluate.engine if e.evaluate else None
    return engine.tensor_parallel if isinstance(engine, VllmEngine) else 1


def _for_weights(model: str) -> int:
    size = size_of(model)
    return ceil(size.weights / HELD_BY_A_GPU) if size else 1


def _shared_evenly(e: Experiment, kind: str, pool: Pool, nodes: int) -> int:
    """The most GPUs of a node, four at most, over which the rows of a step divide."""
    section = getattr(e, kind)
    rows = section.batch * (section.generations if kind == "grpo" else 1) if section else 1
    most = min(MOST_BY_DEFAULT, pool.gpus)
    return next((n for n in range(most, 0, -1) if rows % (n * nodes) == 0), most)


# ---- what cannot be


def misplaced(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Stages of an experiment that the environment `name` has no place for."""
    if not has_pools(environment):
        return
    for kind in _kinds_of(e):
        asked = training(e, kind) if kind in TRAINING else sharing(e, kind)
        if asked.pool is not None and asked.pool not in environment.pools:
            yield _no_pool(kind, asked.pool, environment, name)
            continue
        if _on_gpus(e, kind) or asked.gpus:
            yield from _too_many(e, kind, environment, name)
        if kind in TRAINING:
            yield from _too_wide(e, kind, environment, name)


def _kinds_of(e: Experiment) -> list[str]:
    """Kinds of stages that a spec places, of those that it runs."""
    asked = {"distil": e.teacher, "sft": e.sft, "grpo": e.grpo, "evaluate": e.evaluate}
    return [kind for kind, section in asked.items() if section is not None]


def _no_pool(kind: str, pool: str, environment: KubernetesEnvironment, name: str) -> Problem:
    message = f"the environment `{name}` has no pool `{pool}`"
    return Problem("C2F431", ("resources", kind, "pool"), message, suggest(pool, list(environment.pools)))


def _too_many(e: Experiment, kind: str, environment: KubernetesEnvironment, name: str) -> Iterator[Problem]:
    pool = pool_of(e, kind, environment)
    has, needs = environment.pools[pool].gpus, max(1, _wanted(e, kind))
    if has >= needs:
        return
    asked = training(e, kind) if kind in TRAINING else sharing(e, kind)
    where: tuple[str, ...] = ("teacher",) if kind == "distil" else (kind,)
    if asked.gpus is not None:
        where = ("resources", kind, "gpus")
    elif asked.pool is not None:
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


def _too_wide(e: Experiment, kind: str, environment: KubernetesEnvironment, name: str) -> Iterator[Problem]:
    """More nodes than there are, or several without a scheduler that starts their pods together."""
    nodes, pool = training(e, kind).nodes or 1, pool_of(e, kind, environment)
    has, loc = environment.pools[pool].nodes, ("resources", kind, "nodes")
    if has is not None and nodes > has:
        message = f"`{kind}` on {nodes} nodes, and pool `{pool}` in `{name}` has {has}"
        yield Problem("C2F434", loc, message, f"use {has} or fewer")
    elif nodes > 1 and environment.scheduler.kind == "default":
        message = f"`{kind}` on {nodes} nodes, whose pods the default scheduler of `{name}` starts one by one"
        yield Problem("C2F434", loc, message, "use one node, or an environment with Kueue or Volcano")
