"""A trainer's state as tensors in host memory and JSON, and back into a trainer.

The trained weights under the names of the parameters (of adapters, theirs), with the buffers that `state_dict` has;
moments and step counts of the optimizer under <index of the parameter>.<name>, or under ZeRO the part of each rank
(`zero_partitions.py`); in `state.json` the rest: groups of the optimizer, schedule, random states of every rank, and what
the trainer counts for itself, like the history of hints. Frozen weights are not saved: the stage starts from them.

transformers would save pickles, and would load weights with `strict=False`: the layout of an omni model's files on the
hub is not that of its parameters, so 1 tensor of 89 would be restored and training would begin anew. Here a tensor that is
missing, left over or of another shape is an error.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from runtime.checkpoints import zero_partitions
from runtime.console import log_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


STATE = "state.json"
MAX_FILE_BYTES = 1 << 30
"""Bytes of one file of tensors: it is read into memory at once, and sent again whole if its upload fails."""
TRAINER_STATE = "trainer_state.json"
"""The file from which transformers reads the counters of a trainer that resumes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the state at one step. It does not change while training goes on and it is written."""

    step: int
    tensors: dict[str, dict[str, torch.Tensor]]
    """Tensors by name, by the stem of their files' names."""
    state: dict[str, Any] | None = None
    """Content of `state.json`; rank 0 alone has it."""
    counters: Any = None
    """The `TrainerState` of transformers (step, epoch, tokens); rank 0 alone has it."""

    def write(self, folder: Path) -> None:
        """Write the files of a checkpoint into `folder`."""
        for stem, named in self.tensors.items():
            write_tensors(named, folder, stem)
        if self.state is not None:
            (folder / STATE).write_text(json.dumps(self.state, allow_nan=False))
            self.counters.save_to_json(str(folder / TRAINER_STATE))


def take(trainer: Any, rng_states: list[dict[str, Any]], running: dict[str, Any]) -> Snapshot:
    """Return a copy of all that `trainer` needs to go on from here; `rng_states` has the random states of all ranks.

    Training waits for this part of saving alone. Raises `TypeError` for state that is neither tensor nor JSON.
    """
    if zero_partitions.is_partitioned(trainer):
        rest_tensors, rest = (
            {zero_partitions.STEM: zero_partitions.rank_tensors(trainer)},
            zero_partitions.partition_facts(trainer),
        )
    else:
        moments, rest = _split(trainer.optimizer.state_dict())
        rest_tensors = {"optimizer": moments}
    return Snapshot(
        step=trainer.state.global_step,
        tensors={
            stem: copy_to_cpu(named)
            for stem, named in {"weights": saved_weights(trainer), **rest_tensors}.items()
        },
        state={
            "optimizer": rest,
            "schedule": trainer.lr_scheduler.state_dict(),
            "random": rng_states,
            "running": running,
        },
        counters=replace(trainer.state, log_history=[], stateful_callbacks={}),
    )


def take_part(trainer: Any) -> Snapshot:
    """Return a copy of what this rank alone has under ZeRO; rank 0 has the rest."""
    return Snapshot(
        trainer.state.global_step, {zero_partitions.STEM: copy_to_cpu(zero_partitions.rank_tensors(trainer))}
    )


def saved_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """Return trained parameters and saved buffers by name, of the model without its wrappers.

    Parameters that ZeRO 3 partitions are left out: the parts have them.
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
    """Restore all trained tensors and return their number. Raises `LookupError` if one is missing or does not fit."""
    wanted = saved_weights(trainer)
    left = set(wanted)
    for part in read_tensors(folder, "weights"):
        for name, saved in part.items():
            current = wanted.get(name)
            if current is None or (current.shape, current.dtype) != (saved.shape, saved.dtype):
                raise LookupError(f"the checkpoint's `{name}` is not a tensor that this stage trains")
            with torch.no_grad():
                current.copy_(saved)
            left.discard(name)
    if left:
        raise LookupError(
            f"the checkpoint lacks {len(left)} of {len(wanted)} tensors, among them `{min(left)}`"
        )
    return len(wanted)


def restore_optimizer(trainer: Any, folder: Path) -> None:
    """Restore optimizer and schedule. Raises `LookupError` if a parameter's moments are missing or of another shape."""
    state = read_state(folder)
    if zero_partitions.is_partitioned(trainer):
        rank = trainer.args.process_index
        files = read_tensors(folder.parent / zero_partitions.rank_folder(rank), zero_partitions.STEM)
        count = zero_partitions.restore_partition(trainer, files, rank, state["optimizer"])
        log_line(f"restored {count} tensors of the model, all that are trained: the part of rank {rank}")
        trainer.lr_scheduler.load_state_dict(state["schedule"])
        return
    saved: dict[str, torch.Tensor] = {}
    for part in read_tensors(folder, "optimizer"):
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


def copy_to_cpu(named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in named.items()}


def _split(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return an optimizer's state as tensors by `<index>.<name>`, and the rest as JSON."""
    moments_by_name, plain = {}, {}
    for index, moments in state["state"].items():
        for name, value in moments.items():
            if isinstance(value, torch.Tensor):
                moments_by_name[f"{index}.{name}"] = value
            else:
                plain[f"{index}.{name}"] = value
    groups = state["param_groups"]
    # A parameter that never had a gradient has no moments.
    facts = {"moved": sorted(state["state"]), "parameters": sum(len(group["params"]) for group in groups)}
    return moments_by_name, {"plain": plain, "groups": groups, **facts}


def _join(moments_by_name: dict[str, torch.Tensor], rest: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**moments_by_name, **rest["plain"]}.items():
        index, _, moment = name.partition(".")
        state.setdefault(int(index), {})[moment] = value
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in rest["groups"]]
    return {"state": state, "param_groups": groups}


def capture_rng() -> dict[str, Any]:
    """Return the random states of this rank as JSON, 20 KB: of Python, numpy, torch and its GPU.

    The libraries of training draw from these global generators.
    """
    version, words, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002  the libraries draw from it
    return {
        "python": [version, list(words), gauss],
        "numpy": {**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].tolist()}},
        "torch": torch.get_rng_state().tolist(),
        "cuda": torch.cuda.get_rng_state().tolist() if torch.cuda.is_available() else None,
    }


def restore_rng(states: dict[str, Any]) -> None:
    """Restore what `capture_rng` returned. Raises `LookupError` if only one of the two ranks has a GPU."""
    if (states["cuda"] is not None) != torch.cuda.is_available():
        raise LookupError(
            "the random states are of a rank with a GPU, or this rank has one and they have none"
        )
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    numpy = states["numpy"]
    keys = np.array(numpy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": keys}})  # noqa: NPY002
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(torch.tensor(states["cuda"], dtype=torch.uint8))


def write_tensors(
    tensors: Mapping[str, torch.Tensor], folder: Path, stem: str, most: int = MAX_FILE_BYTES
) -> None:
    """Write `<stem>-00000.safetensors` and so on. Tensors must be on the CPU and must not change meanwhile."""
    for number, part in enumerate(_parts(tensors, most)):
        save_file(part, folder / f"{stem}-{number:05}.safetensors")


def read_tensors(folder: Path, stem: str) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the tensors of each file of `write_tensors`, one file in memory at a time."""
    for path in sorted(folder.glob(f"{stem}-*.safetensors")):
        yield load_file(path)


def _parts(tensors: Mapping[str, torch.Tensor], most: int) -> Iterator[dict[str, torch.Tensor]]:
    part: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if part and size + tensor.nbytes > most:
            yield part
            part, size = {}, 0
        part[name] = tensor
        size += tensor.nbytes
    if part:
        yield part
