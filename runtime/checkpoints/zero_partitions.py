"""The part of the state that ZeRO leaves to one rank: its weights in float32, and the optimizer's state for them.

Each group of the optimizer's parameters is one flat tensor, cut into as many parts as there are ranks. A part is saved
under <number of the group>.<name>: `weights` and, after the first step, the moments and the step count of AdamW. Names
and shapes of the parameters go into `state.json`, since two models of the same size have the same parts.

DeepSpeed's own checkpoints are pickles, in folders that cannot be verified file by file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STEM = "part"
"""Stem of the names of files with a part."""
WEIGHTS = "weights"


def is_partitioned(trainer: Any) -> bool:
    """Return whether each rank has a part of the state."""
    return bool(trainer.is_deepspeed_enabled)


def rank_folder(rank: int) -> str:
    """Return the folder of a rank in a checkpoint; that of rank 0 also has what all ranks share."""
    return f"rank-{rank:05}"


def main_folder(folder: Path) -> Path:
    """Return the folder with what all ranks share: the checkpoint's own, or under ZeRO that of rank 0."""
    own = folder / rank_folder(0)
    return own if own.is_dir() else folder


def needed_by_rank(file: str, rank: int) -> bool:
    """Return whether this rank needs a file of a checkpoint: its own part, or what all ranks share."""
    folder, slash, name = file.rpartition("/")
    return (
        not slash
        or folder == rank_folder(rank)
        or (folder == rank_folder(0) and not name.startswith(f"{STEM}-"))
    )


def rank_tensors(trainer: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of this rank, not copied."""
    optimizer = trainer.optimizer.optimizer
    tensors = {}
    for number, master in enumerate(_masters(optimizer)):
        tensors[f"{number}.{WEIGHTS}"] = master.data
        for name, value in optimizer.optimizer.state.get(master, {}).items():
            tensors[f"{number}.{name}"] = value
    return tensors


def partition_facts(trainer: Any) -> dict[str, Any]:
    """Return name and shape of every trained parameter, and the optimizer's groups without them, as JSON."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    shapes = {name: list(full_shape(p)) for name, p in model.named_parameters() if p.requires_grad}
    groups = [{k: v for k, v in g.items() if k != "params"} for g in trainer.optimizer.param_groups]
    return {"shapes": shapes, "groups": groups}


def full_shape(parameter: torch.Tensor) -> torch.Size:
    """Return the shape of the whole parameter, even if this rank has only a part of it."""
    return getattr(parameter, "ds_shape", parameter.shape)


def restore_partition(
    trainer: Any, files: Iterable[dict[str, torch.Tensor]], rank: int, saved: dict[str, Any]
) -> int:
    """Restore this rank's part: weights in float32, the weights that the model computes with, moments of the optimizer.

    `files` are the tensors of the rank's files, `saved` is what `partition_facts` returned when they were written. Return
    the number of trained tensors. Raises `LookupError` if a tensor is missing or has another shape.
    """
    current = partition_facts(trainer)
    if current["shapes"] != saved["shapes"]:
        different = sorted(
            name
            for name in current["shapes"] | saved["shapes"]
            if current["shapes"].get(name) != saved["shapes"].get(name)
        )
        raise LookupError(f"the checkpoint has other parameters, among them `{different[0]}`")
    groups: dict[int, dict[str, torch.Tensor]] = {}
    for file in files:
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
    _update_model_weights(optimizer)
    return len(current["shapes"])


def _restore_group(optimizer: Any, master: torch.Tensor, saved: dict[str, torch.Tensor], what: str) -> None:
    for name, tensor in saved.items():
        # A step count is a scalar and has no shape.
        if tensor.shape != master.shape and (tensor.dim() or name == WEIGHTS):
            raise LookupError(f"the checkpoint's `{name}` of {what} has another shape")
    if WEIGHTS not in saved:
        raise LookupError(f"the checkpoint lacks the weights of {what}")
    master.data.copy_(saved[WEIGHTS])
    optimizer.state[master] = {
        name: t.to(master.device) if t.dim() else t for name, t in saved.items() if name != WEIGHTS
    }


def _masters(optimizer: Any) -> list[torch.Tensor]:
    """Return this rank's flat float32 tensors of a `DeepSpeedZeroOptimizer` of stage 2 or 3."""
    spread = getattr(optimizer, "fp32_partitioned_groups_flat", None)
    masters: list[torch.Tensor] = spread if spread is not None else optimizer.single_partition_of_fp32_groups
    return masters


def _update_model_weights(optimizer: Any) -> None:
    """Copy the float32 weights into those that the model computes with. All ranks must call this."""
    if not hasattr(optimizer, "fp32_partitioned_groups_flat"):
        return  # under ZeRO 2 every rank has all weights, and rank 0 saved them
    with torch.no_grad():
        for flat, master in zip(
            optimizer.fp16_partitioned_groups_flat, optimizer.fp32_partitioned_groups_flat, strict=True
        ):
            flat.copy_(master)
    whole = optimizer.persistent_parameters  # small ones, which every rank keeps
    if whole:
        whole[0].partition(whole)
        whole[0].all_gather(whole)
