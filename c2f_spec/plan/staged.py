"""What copies of data sets and models the store holds.

Names without a pin are looked up before a plan is made, because only the store can say what they are; pinned ones
after, for the stages that are to run: what is not there must be known before a GPU is asked for. Nothing is asked
`--offline`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.lock import UNPINNED
from c2f_spec.parse.problem import Problem
from c2f_spec.plan.pins import needs
from c2f_spec.spec.reads import reads_weights
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.plan.pins import Need, Staged
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.store.objects import Objects

Copy = tuple[str, str]
"""Section of the lock and name."""


def staged_copies(objects: Objects, needed: Iterable[Need]) -> Staged:
    """Digests of the staged copies, by name."""
    present = {"datasets": records.datasets_present, "models": records.models_present}
    return {need.name: present[need.section](objects, need.name) for need in needed}


def lacking(objects: Objects, plan: Plan) -> frozenset[Copy]:
    """Pinned copies that a stage which is to run would read, and the store does not have."""
    asked = {copy for stage in plan.stages if stage.action == "run" for copy in _read(stage)}
    return frozenset(
        (section, name) for section, name, digest in asked if not _has(objects, section, name, digest)
    )


def _read(stage: Stage) -> Iterator[tuple[str, str, str]]:
    """Section, name and digest of the copies that a stage reads."""
    if data := stage.preimage.get("data"):
        yield "datasets", data["name"], data["digest"]
    # A teacher that vLLM serves beside the stage comes from the store, too.
    if stage.kind == "distil" or reads_weights(stage.preimage, stage.inputs):
        for name, digest in stage.preimage.get("models", {}).items():
            yield "models", name, digest


def _has(objects: Objects, section: str, name: str, digest: str) -> bool:
    if digest == UNPINNED:
        return True  # told elsewhere
    listing = records.dataset_listing if section == "datasets" else records.model_listing
    return objects.exists(listing(name, digest))


def unstaged(experiment: Experiment, lacks: Collection[Copy]) -> Iterator[Problem]:
    """Where a spec names what `lacks`."""
    for need in needs(experiment):
        if (need.section, need.name) in lacks:
            message = f"{need.kind} not staged: `{need.name}` is pinned, and not in the store"
            yield Problem("C2F420", need.loc, message, need.staged_by)
