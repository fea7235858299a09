"""Bytes of the tensors that live at a time, and the most that ever did: what a GPU's allocator would count.

torch keeps no such count on a CPU, and the size of the process includes libraries and freed pages. Here every operation's
arguments and results are looked at, and each storage is counted from when it is first seen until it is freed.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts while it is entered. `peak` may be set back to `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, torch.Tensor):
                self.see(leaf)
        self.peak = max(self.peak, self.now)
        return result

    def see(self, tensor: torch.Tensor) -> None:
        if tensor.device.type != "cpu":
            return
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        if address not in self._sizes:
            weakref.finalize(storage, self._freed, address).atexit = False
        self.now += size - self._sizes.get(address, 0)  # a storage may be resized
        self._sizes[address] = size

    def _freed(self, address: int) -> None:
        self.now -= self._sizes.pop(address)
