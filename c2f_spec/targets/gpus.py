"""GPUs of this machine: which are visible, and which are free.

A stage takes its GPUs by locks on files of this user, which its first process inherits: they are free again when that
ends, whichever way. So stages that run at once, of one `apply` or of several, never share a GPU that one of them fills.
"""

from __future__ import annotations

import os
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.store.machine import home, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator


class GpuSet(NamedTuple):
    """GPUs that are locked for a process."""

    names: list[str]
    locks: list[int]
    """Descriptors for the process to inherit; the caller closes its own."""

    def close(self) -> None:
        for lock in self.locks:
            os.close(lock)


class Gpus:
    """The GPUs that a child of this process sees."""

    @cached_property
    def names(self) -> list[str]:
        return visible_gpus()

    def free(self) -> int:
        """Return how many GPUs are free now."""
        taken = self.take(len(self.names), at_least=0)
        assert taken is not None
        taken.close()
        return len(taken.names)

    def take(self, count: int, *, at_least: int | None = None) -> GpuSet | None:
        """Lock and return `count` GPUs, or `None` if fewer than `at_least` of them, by default all, are free."""
        taken = GpuSet([], [])
        for name, lock in self._unlocked() if count else ():
            taken.names.append(name)
            taken.locks.append(lock)
            if len(taken.names) == count:
                break
        if len(taken.names) < (count if at_least is None else at_least):
            taken.close()
            return None
        return taken

    def _unlocked(self) -> Iterator[tuple[str, int]]:
        folder = home() / "gpus"
        for name in self.names:
            lock = try_lock(folder / f"{name.replace('/', '-')}.lock")
            if lock is not None:
                yield name, lock


def visible_gpus() -> list[str]:
    """Return names of GPUs as CUDA_VISIBLE_DEVICES takes them, without importing torch."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip() not in ("", "-1")]
    try:
        shown = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S607
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return [str(n) for n in range(sum(line.startswith("GPU ") for line in shown.stdout.splitlines()))]
