"""Find where a stage runs, as far as its cost goes: how many GPUs of which kind, and their coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cost.sizes import GIB
from c2f_spec.keys import TRAINING
from c2f_spec.spec.environment import has_pools
from c2f_spec.spec.quantities import amount

if TYPE_CHECKING:
    from c2f_spec.spec.coefficients import Coefficients
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.handoff import Placement

USABLE = 79 / 80
"""Usable part of a GPU's nominal memory (METHOD 8.4: 79 of 80 GiB)."""
A800_GIB = 80


class Site(NamedTuple):
    """A placement with its GPUs and coefficients."""

    placement: Placement
    gpus: int
    """GPUs of all nodes and shards together."""
    gpu: str
    """Model of the GPU."""
    bytes: float
    """Memory of one GPU that can be used."""
    k: Coefficients


def site_of(kind: str, placement: Placement, environment: Environment) -> Site:
    """Return the site of a stage of `kind`."""
    if not has_pools(environment):
        k = environment.coefficients
        gpus = min(_local_gpus(kind, placement, environment.gpus), environment.gpus)
        return Site(placement, gpus, "local", _usable(None, k), k)
    assert placement.pool is not None, "every stage in a cluster has a pool"
    pool = environment.pools[placement.pool]
    gpus = placement.gpus * placement.nodes * placement.shards
    return Site(
        placement,
        gpus,
        pool.gpu or placement.pool,
        _usable(pool.gpu_memory, pool.coefficients),
        pool.coefficients,
    )


def _local_gpus(kind: str, placement: Placement, all_: int) -> int:
    """Return the GPUs of this machine that a stage takes (`c2f_spec/targets/local.py`): training and a loaded teacher take all."""
    if kind in TRAINING:
        return placement.gpus or all_
    if kind == "distil":
        return placement.endpoint.tensor_parallel if placement.endpoint else all_
    return placement.vllm.tensor_parallel if placement.vllm else 1


def prices_of(environment: Environment) -> dict[str, float]:
    """Return the price of a GPU-hour by pool, where there is one; this machine is the pool without a name."""
    if not has_pools(environment):
        named = {"": environment.coefficients.price}
    else:
        named = {name: pool.coefficients.price for name, pool in environment.pools.items()}
    return {name: price for name, price in named.items() if price is not None}


def _usable(memory: str | None, k: Coefficients) -> float:
    if k.memory is not None:
        return k.memory * GIB
    return USABLE * (float(amount(memory)) if memory else A800_GIB * GIB)
