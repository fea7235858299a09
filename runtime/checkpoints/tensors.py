"""Tensors → safetensors files of bounded size, and back, one file in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

MOST_BYTES = 1 << 30
"""Of one file: what is read into memory at once, and sent again if its upload fails."""


def write(tensors: Mapping[str, torch.Tensor], folder: Path, stem: str, most: int = MOST_BYTES) -> None:
    """`<stem>-00000.safetensors` and so on. Tensors must be on the CPU, and nobody may write to them meanwhile."""
    for number, part in enumerate(_parts(tensors, most)):
        save_file(part, folder / f"{stem}-{number:05}.safetensors")


def read(folder: Path, stem: str) -> Iterator[dict[str, torch.Tensor]]:
    """The files of `write`, one after the other."""
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
