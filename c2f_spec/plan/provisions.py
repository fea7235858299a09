"""Whether a pod gets the disk and the cores that its stage needs, as a part of its node (METHOD 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cost.memory import checkpoint_bytes
from c2f_spec.cost.site import amount
from c2f_spec.cost.sizes import GIB, Size, size_of
from c2f_spec.parse.problem import Problem
from c2f_spec.plan.placement import TRAINING, placements
from c2f_spec.spec.student import Lora, QwenOmni
from c2f_spec.spec.teacher import OwnWeights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.cluster import Pool
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.handoff import Placement

DECODERS = 4
"""Cores that keep one GPU supplied with frames and sound."""
KEPT = 2
"""Checkpoints on disk at a time: the one that is being stored, and the one that is being written."""


def short_of(e: Experiment, environment: Environment, name: str) -> Iterator[Problem]:
    """Stages whose pods have too little disk, or few cores. `misplaced` found nothing before."""
    if environment.kind == "local":
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
        needs, has = _disk(e, kind, size, place), amount(pool.ephemeral_storage) * place.gpus / pool.gpus
        if needs > has:
            yield _full(
                kind, loc, f"{place.gpus} of {pool.gpus} GPUs of pool `{place.pool}` in `{name}`", needs, has
            )
        yield from _slow(kind, loc, pool, f"`{place.pool}` in `{name}`")


def _disk(e: Experiment, kind: str, size: Size, place: Placement) -> float:
    """Bytes that a pod downloads and writes."""
    if kind not in TRAINING:
        return size.weights
    tuner = getattr(e, kind).tuner
    checkpoint = checkpoint_bytes(size, size.adapters(tuner) if isinstance(tuner, Lora) else None)
    return size.weights + KEPT * checkpoint / place.nodes


def _full(kind: str, loc: tuple[str, ...], where: str, needs: float, has: float) -> Problem:
    message = f"`{kind}` needs about {needs / GIB:.0f} GiB of disk, and {where} come with {has / GIB:.0f}"
    hint = f"give it more GPUs of the node (`resources.{kind}.gpus`), or a pool with more `ephemeral_storage`"
    return Problem("C2F438", loc, message, hint, at_key=True)


def _slow(kind: str, loc: tuple[str, ...], pool: Pool, where: str) -> Iterator[Problem]:
    cores = amount(pool.cpu) / pool.gpus
    if cores < DECODERS:
        message = f"`{kind}` has {cores:.1f} cores a GPU on pool {where}, and decoding wants {DECODERS}"
        hint = "raise `cpu` of the pool if its nodes have more: GPUs will wait for frames"
        yield Problem("C2F439", loc, message, hint, severity="warning", at_key=True)
