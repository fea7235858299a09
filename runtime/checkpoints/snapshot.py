"""A trainer's state as tensors in host memory and JSON, and back into a trainer.

The trained weights under the names of the parameters (of adapters, theirs), with the buffers that `state_dict` has;
moments and step counts of the optimizer under <index of the parameter>.<name>, or under ZeRO the part of each rank
(`parts.py`); in `state.json` the rest: groups of the optimizer, schedule, random states of every rank, and what the
trainer counts for itself, like the history of hints. Frozen weights are not saved: they are those that the stage starts from.

transformers would save pickles, and would load weights with `strict=False`: the layout of an omni model's files on the
hub is not that of its parameters, so 1 tensor of 89 is restored and training goes on from the start. Here a tensor that
is missing, left over or of another shape is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from runtime.checkpoints import tensors, zero_partitions
from runtime.console import say

if TYPE_CHECKING:
    from pathlib import Path

STATE = "state.json"
TRAINER_STATE = "trainer_state.json"
"""Where transformers looks for the counters of a trainer that resumes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Nothing in it changes any more: training goes on while it is written."""

    step: int
    tensors: dict[str, dict[str, torch.Tensor]]
    """By the stem of their files' names."""
    state: dict[str, Any] | None = None
    """Of rank 0."""
    counters: Any = None
    """Of rank 0, the trainer's own: step, epoch, tokens. In the format of transformers, which reads them from a file."""

    def write(self, folder: Path) -> None:
        """Into the files of a checkpoint."""
        for stem, named in self.tensors.items():
            tensors.write(named, folder, stem)
        if self.state is not None:
            (folder / STATE).write_text(json.dumps(self.state, allow_nan=False))
            self.counters.save_to_json(str(folder / TRAINER_STATE))


def take(trainer: Any, random: list[dict[str, Any]], running: dict[str, Any]) -> Snapshot:
    """A copy of all that `trainer` would need to go on from here; `random` has the states of all ranks.

    The only part of saving for which training waits. Raises `TypeError` for state that is neither tensor nor JSON.
    """
    if zero_partitions.is_split(trainer):
        kept, rest = {zero_partitions.STEM: zero_partitions.part(trainer)}, zero_partitions.facts(trainer)
    else:
        moments, rest = _split(trainer.optimizer.state_dict())
        kept = {"optimizer": moments}
    return Snapshot(
        step=trainer.state.global_step,
        tensors={stem: _copies(named) for stem, named in {"weights": saved_weights(trainer), **kept}.items()},
        state={
            "optimizer": rest,
            "schedule": trainer.lr_scheduler.state_dict(),
            "random": random,
            "running": running,
        },
        counters=replace(trainer.state, log_history=[], stateful_callbacks={}),
    )


def take_part(trainer: Any) -> Snapshot:
    """What only this rank has, where ZeRO spreads the state; rank 0 has the rest."""
    return Snapshot(trainer.state.global_step, {zero_partitions.STEM: _copies(zero_partitions.part(trainer))})


def saved_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """Name to trained parameter or kept buffer, of the model without its wrappers; of a parameter that ZeRO 3 spreads
    there is nothing here, since the parts have it.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    trained = {
        name: p for name, p in model.named_parameters() if p.requires_grad and not hasattr(p, "ds_tensor")
    }
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = {name: t for name, t in model.state_dict().items() if name not in parameters}
    return {**trained, **buffers}


def read_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / STATE).read_text())
    return state


def restore_weights(trainer: Any, folder: Path) -> int:
    """How many tensors were restored: all that are trained. Raises `LookupError` otherwise."""
    wanted = saved_weights(trainer)
    left = set(wanted)
    for part in tensors.read(folder, "weights"):
        for name, saved in part.items():
            here = wanted.get(name)
            if here is None or (here.shape, here.dtype) != (saved.shape, saved.dtype):
                raise LookupError(f"the checkpoint's `{name}` is not a tensor that this stage trains")
            with torch.no_grad():
                here.copy_(saved)
            left.discard(name)
    if left:
        raise LookupError(
            f"the checkpoint lacks {len(left)} of {len(wanted)} tensors, among them `{min(left)}`"
        )
    return len(wanted)


def restore_optimizer(trainer: Any, folder: Path) -> None:
    """Optimizer and schedule. Raises `LookupError` if a parameter's moments are missing or of another shape."""
    state = read_state(folder)
    if zero_partitions.is_split(trainer):
        rank = trainer.args.process_index
        count = zero_partitions.restore(
            trainer, folder.parent / zero_partitions.place(rank), rank, state["optimizer"]
        )
        say(f"restored {count} tensors of the model, all that are trained: the part of rank {rank}")
        trainer.lr_scheduler.load_state_dict(state["schedule"])
        return
    saved: dict[str, torch.Tensor] = {}
    for part in tensors.read(folder, "optimizer"):
        saved.update(part)
    joined = _join(saved, state["optimizer"])
    shapes = [p.shape for group in trainer.optimizer.param_groups for p in group["params"]]
    moved = state["optimizer"]["moved"]
    if sorted(joined["state"]) != moved or state["optimizer"]["parameters"] != len(shapes):
        raise LookupError(f"the checkpoint has moments of {len(joined['state'])} of {len(moved)} parameters")
    for index, moments in joined["state"].items():
        for name, value in moments.items():
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != shapes[index]:
                raise LookupError(f"the checkpoint's moment `{name}` of parameter {index} has another shape")
    trainer.optimizer.load_state_dict(joined)
    trainer.lr_scheduler.load_state_dict(state["schedule"])


def _copies(named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in named.items()}


def _split(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as tensors by `<index>.<name>`, and the rest as JSON."""
    found, plain = {}, {}
    for index, moments in state["state"].items():
        for name, value in moments.items():
            if isinstance(value, torch.Tensor):
                found[f"{index}.{name}"] = value
            else:
                plain[f"{index}.{name}"] = value
    groups = state["param_groups"]
    # A parameter that never had a gradient has no moments.
    facts = {"moved": sorted(state["state"]), "parameters": sum(len(group["params"]) for group in groups)}
    return found, {"plain": plain, "groups": groups, **facts}


def _join(found: dict[str, torch.Tensor], rest: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**found, **rest["plain"]}.items():
        index, _, moment = name.partition(".")
        state.setdefault(int(index), {})[moment] = value
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in rest["groups"]]
    return {"state": state, "param_groups": groups}
