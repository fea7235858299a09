"""Check that stages fit the memory of their GPUs and the disk and cores of their pods, with changes that would help.

The estimate is for a long clip and runs up to 30 % low (METHOD 8.4), so that a part of the GPU must stay free. A hint
names only changes that were tried here and fit.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from c2f_spec.cost.estimate import ROWS_TRAINED, load_of
from c2f_spec.cost.memory import checkpoint_bytes
from c2f_spec.cost.site import site_of
from c2f_spec.cost.sizes import GIB, Size, size_of
from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.keys import TRAINING
from c2f_spec.plan.placement import placements
from c2f_spec.spec.environment import has_pools
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.quantities import amount
from c2f_spec.spec.student import Lora, QwenOmni
from c2f_spec.spec.teacher import OwnWeights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.cost.site import Site
    from c2f_spec.spec.base import SpecModel
    from c2f_spec.spec.cluster import Pool
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.handoff import Placement


VLLM_CACHE_BYTES = 4 * GIB
"""Least that vLLM needs besides weights: for its passes, and for the keys and values of a batch."""

Change = tuple[str, "Experiment", "Site"]
"""The words of a change, with the experiment and the site that would result."""


def capacity_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield errors and warnings for memory of GPUs, and for disk and cores of pods."""
    yield from memory_problems(e, environment, name)
    yield from pod_problems(e, environment, name)


def memory_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield stages that do not fit their GPUs, or hardly, and models of unknown size. Needs a valid placement."""
    if not has_pools(environment) and not environment.gpus:
        return
    yield from _unknown_sizes(e)
    places = placements(e, environment)
    sections = {"distil": e.teacher, "sft": e.sft, "grpo": e.grpo, "evaluate": e.evaluate}
    for kind, section in sections.items():
        if section is not None:
            site = site_of(kind, places[kind], environment)
            needs = _gpu_bytes(e, kind, site)
            if needs > site.k.warn_above * site.bytes:
                yield _memory_problem(e, kind, needs, site, environment, name)
            yield from _vllm_problems(e, kind, site)


def _vllm_problems(e: Experiment, kind: str, site: Site) -> Iterator[Problem]:
    """Yield a share of a GPU that is too small for vLLM: it would end at its start, with the GPUs taken."""
    engine = getattr(getattr(e, kind, None), "engine", None)
    if not isinstance(engine, VllmEngine) or engine.mode == "server":
        return
    least = _least_vllm_share(e, engine.tensor_parallel, site)
    if engine.memory < least:
        part = engine.memory * site.bytes / GIB
        message = (
            f"vLLM is given {part:.0f} GiB of a GPU, and needs more for its part of the weights and a cache"
        )
        hint = f"set it to {least:g} or more, or raise `{kind}.engine.tensor_parallel`"
        yield Problem("C2F442", (kind, "engine", "memory"), message, hint)


def _least_vllm_share(e: Experiment, ways: int, site: Site) -> float:
    """Return the least share of a GPU, in steps of 0.05, in which vLLM runs the student on `ways` GPUs; 0 for unknown sizes."""
    size = size_of(e.student.model) if isinstance(e.student, QwenOmni) else None
    return ceil(20 * (size.weights / ways + VLLM_CACHE_BYTES) / site.bytes) / 20 if size else 0.0


def _gpu_bytes(e: Experiment, kind: str, site: Site) -> float:
    """Return the peak bytes of one GPU over the stages of a kind."""
    datasets = e.evaluate.datasets if kind == "evaluate" and e.evaluate else (e.data.train,)
    return max(load_of(e, kind, dataset, site).memory for dataset in datasets)


def _memory_problem(
    e: Experiment, kind: str, needs: float, site: Site, environment: Environment, name: str
) -> Problem:
    most, has = site.k.refuse_above * site.bytes, site.bytes / GIB
    loc = ("teacher" if kind == "distil" else kind,)
    amount = f"`{kind}` needs about {needs / GIB:.0f} of the {has:.0f} GiB of each {site.gpu} in `{name}`"
    fits = most if needs > most else 0.999 * needs
    changes = _possible_changes(e, kind, site, environment)
    better = [words for words, changed, place in changes if _gpu_bytes(changed, kind, place) <= fits]
    hint = (
        "; or ".join(better)
        or "no single change makes it fit: lower `media.max_frames`, and give it more GPUs"
    )
    if needs > most:
        message = f"{amount}: more than {most / GIB:.0f} is refused"
        return Problem("C2F435", loc, message, hint, at_key=True)
    message = f"{amount}, and the estimate runs up to 30 % low"
    return Problem("C2F436", loc, message, hint, severity="warning", at_key=True)


def _possible_changes(e: Experiment, kind: str, site: Site, environment: Environment) -> Iterator[Change]:
    """Yield single changes of a spec that take memory off a GPU; those that keep the science as it is come first."""
    if kind in TRAINING and site.gpus > 1 and site.placement.zero != "3":
        yield f"set `resources.{kind}.zero: 3`", e, _with_placement(site, zero="3")
    if kind in TRAINING and (site.placement.micro_batch or ROWS_TRAINED) > 1:
        yield f"set `resources.{kind}.micro_batch: 1`", e, _with_placement(site, micro_batch=1)
    section = getattr(e, kind, None)
    engine = getattr(section, "engine", None)
    if isinstance(engine, VllmEngine) and section is not None:
        for ways in (engine.tensor_parallel, 2 * engine.tensor_parallel):
            share = _least_vllm_share(e, ways, site)
            if share < engine.memory and site.gpus % ways == 0:
                less = engine.model_copy(update={"memory": share, "tensor_parallel": ways})
                smaller = section.model_copy(update={"engine": less})
                words = f"`{kind}.engine.memory: {share:g}`"
                if ways != engine.tensor_parallel:
                    words = f"`{kind}.engine.tensor_parallel: {ways}` and {words}"
                yield f"set {words}", _with(e, kind, smaller), site
    gpus, pool = 2 * max(1, site.placement.gpus), site.placement.pool
    if has_pools(environment) and pool is not None and gpus <= environment.pools[pool].gpus:
        yield (
            f"set `resources.{kind}.gpus: {gpus}`",
            e,
            _with_placement(site, gpus=gpus)._replace(gpus=2 * site.gpus),
        )
    frames = max(1, e.media.max_frames // 2)
    yield (
        f"set `media.max_frames: {frames}`",
        _with(e, "media", e.media.model_copy(update={"max_frames": frames})),
        site,
    )
    if section is not None and kind in TRAINING and not isinstance(section.tuner, Lora):
        yield f"set `{kind}.tuner: lora`", _with(e, kind, section.model_copy(update={"tuner": Lora()})), site


def _with(e: Experiment, name: str, section: SpecModel) -> Experiment:
    return e.model_copy(update={name: section})


def _with_placement(site: Site, **fields: object) -> Site:
    return site._replace(placement=site.placement.model_copy(update=fields))


def _unknown_sizes(e: Experiment) -> Iterator[Problem]:
    """Yield warnings for models that are not in the table of sizes."""
    student = e.student.model if isinstance(e.student, QwenOmni) else None
    teacher = e.teacher.model if isinstance(e.teacher, OwnWeights) else None
    for section, model in (("student", student), ("teacher", teacher)):
        if model is not None and size_of(model) is None:
            message = f"the size of `{model}` is not known: neither its time nor its memory is estimated"
            hint = "add it to c2f_spec/cost/sizes.py; stages that were measured replace estimates of time"
            yield Problem("C2F437", (section, "model"), message, hint, severity="warning")


# Whether a pod gets the disk and the cores that its stage needs, as a part of its node (METHOD 8.4).


DECODERS = 4
"""Cores that keep one GPU supplied with frames and sound."""
CHECKPOINTS_ON_DISK = 2
"""Checkpoints on disk at a time: the one that is being stored, and the one that is being written."""


def pod_problems(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Yield stages whose pods have too little disk, or few cores. Needs a valid placement."""
    if not has_pools(environment):
        return
    places = placements(e, environment)
    for kind, section, size in (
        ("distil", e.teacher, size_of(e.teacher.model) if isinstance(e.teacher, OwnWeights) else None),
        *((k, getattr(e, k), size_of(e.student.model) if isinstance(e.student, QwenOmni) else None)
          for k in (*TRAINING, "evaluate")),
    ):  # fmt: skip
        place = places[kind]
        if section is None or size is None or not place.gpus or place.pool is None:
            continue
        pool, loc = environment.pools[place.pool], ("teacher" if kind == "distil" else kind,)
        needs, has = (
            _disk_bytes(e, kind, size, place),
            float(amount(pool.ephemeral_storage)) * place.gpus / pool.gpus,
        )
        if needs > has:
            yield _disk_problem(
                kind, loc, f"{place.gpus} of {pool.gpus} GPUs of pool `{place.pool}` in `{name}`", needs, has
            )
        yield from _core_problems(kind, loc, pool, f"`{place.pool}` in `{name}`")


def _disk_bytes(e: Experiment, kind: str, size: Size, place: Placement) -> float:
    """Return the bytes that a pod downloads and writes."""
    if kind not in TRAINING:
        return size.weights
    tuner = getattr(e, kind).tuner
    checkpoint = checkpoint_bytes(size, size.adapters(tuner) if isinstance(tuner, Lora) else None)
    return size.weights + CHECKPOINTS_ON_DISK * checkpoint / place.nodes


def _disk_problem(kind: str, loc: tuple[str, ...], where: str, needs: float, has: float) -> Problem:
    message = f"`{kind}` needs about {needs / GIB:.0f} GiB of disk, and {where} come with {has / GIB:.0f}"
    hint = f"give it more GPUs of the node (`resources.{kind}.gpus`), or a pool with more `ephemeral_storage`"
    return Problem("C2F438", loc, message, hint, at_key=True)


def _core_problems(kind: str, loc: tuple[str, ...], pool: Pool, where: str) -> Iterator[Problem]:
    cores = float(amount(pool.cpu)) / pool.gpus
    if cores < DECODERS:
        message = f"`{kind}` has {cores:.1f} cores a GPU on pool {where}, and decoding wants {DECODERS}"
        hint = "raise `cpu` of the pool if its nodes have more: GPUs will wait for frames"
        yield Problem("C2F439", loc, message, hint, severity="warning", at_key=True)
