"""What ZeRO leaves to one rank: its part of the weights in float32, and the optimiser's state of that part.

Each group of the optimiser's parameters is one flat tensor, cut into as many parts as there are ranks. A part is saved
under <number of the group>.<name>: `weights` and, once a step was made, the moments and the step count of AdamW. What
the parameters were goes into `state.json`, since two models of the same size have the same parts.

DeepSpeed's own checkpoints are pickles in folders of its own, which nobody could verify file by file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from runtime.checkpoints import tensors

if TYPE_CHECKING:
    from pathlib import Path

STEM = "part"
"""Of the names of files with a part."""
WEIGHTS = "weights"


def is_split(trainer: Any) -> bool:
    """Whether each rank has a part of the state."""
    return bool(trainer.is_deepspeed_enabled)


def place(rank: int) -> str:
    """The folder of a rank in a checkpoint; that of rank 0 has what is everybody's too."""
    return f"rank-{rank:05}"


def main_place(folder: Path) -> Path:
    """Where a checkpoint has what is everybody's: itself, or with parts the folder of rank 0."""
    own = folder / place(0)
    return own if own.is_dir() else folder


def wanted(file: str, rank: int) -> bool:
    """Whether this rank needs a file of a checkpoint: its own, and everybody's."""
    folder, slash, name = file.rpartition("/")
    return not slash or folder == place(rank) or (folder == place(0) and not name.startswith(f"{STEM}-"))


def part(trainer: Any) -> dict[str, torch.Tensor]:
    """The tensors of this rank, not copied."""
    optimizer = trainer.optimizer.optimizer
    found = {}
    for number, master in enumerate(_masters(optimizer)):
        found[f"{number}.{WEIGHTS}"] = master.data
        for name, value in optimizer.optimizer.state.get(master, {}).items():
            found[f"{number}.{name}"] = value
    return found


def facts(trainer: Any) -> dict[str, Any]:
    """What the parts are of, as JSON: name and shape of every trained parameter, and the groups without them."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    shapes = {name: list(shape(p)) for name, p in model.named_parameters() if p.requires_grad}
    groups = [{k: v for k, v in g.items() if k != "params"} for g in trainer.optimizer.param_groups]
    return {"shapes": shapes, "groups": groups}


def shape(parameter: torch.Tensor) -> torch.Size:
    """Of the whole parameter, also where this rank has a part of it."""
    return getattr(parameter, "ds_shape", parameter.shape)


def restore(trainer: Any, folder: Path, rank: int, saved: dict[str, Any]) -> int:
    """Bring a rank's part back: weights in float32, those that the model computes with, moments. `folder` is the rank's.
    Returns of how many trained tensors.

    Raises `LookupError` unless every tensor is there and fits.
    """
    here = facts(trainer)
    if here["shapes"] != saved["shapes"]:
        odd = sorted(
            name
            for name in here["shapes"] | saved["shapes"]
            if here["shapes"].get(name) != saved["shapes"].get(name)
        )
        raise LookupError(f"the checkpoint is of other parameters, among them `{odd[0]}`")
    groups: dict[int, dict[str, torch.Tensor]] = {}
    for file in tensors.read(folder, STEM):
        for name, tensor in file.items():
            index, _, kind = name.partition(".")
            groups.setdefault(int(index), {})[kind] = tensor
    optimizer = trainer.optimizer.optimizer
    masters = _masters(optimizer)
    if sorted(groups) != list(range(len(masters))):
        raise LookupError(
            f"the checkpoint has {len(groups)} groups of parameters of rank {rank}, not {len(masters)}"
        )
    for number, master in enumerate(masters):
        _restore_group(optimizer.optimizer, master, groups[number], f"group {number} of rank {rank}")
    for group, was in zip(trainer.optimizer.param_groups, saved["groups"], strict=True):
        group.update({k: tuple(v) if k == "betas" else v for k, v in was.items()})
    _refresh(optimizer)
    return len(here["shapes"])


def _restore_group(optimizer: Any, master: torch.Tensor, saved: dict[str, torch.Tensor], what: str) -> None:
    for name, tensor in saved.items():
        if tensor.shape != master.shape and (
            tensor.dim() or name == WEIGHTS
        ):  # a count of steps has no shape
            raise LookupError(f"the checkpoint's `{name}` of {what} has another shape")
    if WEIGHTS not in saved:
        raise LookupError(f"the checkpoint lacks the weights of {what}")
    master.data.copy_(saved[WEIGHTS])
    optimizer.state[master] = {
        name: t.to(master.device) if t.dim() else t for name, t in saved.items() if name != WEIGHTS
    }


def _masters(optimizer: Any) -> list[torch.Tensor]:
    """The flat parts in float32 of this rank, of a `DeepSpeedZeroOptimizer` of stage 2 or 3."""
    spread = getattr(optimizer, "fp32_partitioned_groups_flat", None)
    found: list[torch.Tensor] = spread if spread is not None else optimizer.single_partition_of_fp32_groups
    return found


def _refresh(optimizer: Any) -> None:
    """The weights that the model computes with, from those in float32. Called by all ranks."""
    if not hasattr(optimizer, "fp32_partitioned_groups_flat"):
        return  # under ZeRO 2 every rank has them all, and rank 0 saved them
    with torch.no_grad():
        for flat, master in zip(
            optimizer.fp16_partitioned_groups_flat, optimizer.fp32_partitioned_groups_flat, strict=True
        ):
            flat.copy_(master)
    whole = optimizer.persistent_parameters  # small ones, which every rank keeps
    if whole:
        whole[0].partition(whole)
        whole[0].all_gather(whole)
