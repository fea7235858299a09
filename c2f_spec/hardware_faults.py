"""Log lines → a fault of the machine, not of the stage. A node that had one is avoided by the next attempt.

The signs are what CUDA, NCCL and the NVIDIA driver print (docs.nvidia.com/deploy/xid-errors,
docs.nvidia.com/deeplearning/nccl, troubleshooting). Out of memory and illegal addresses are not among them, Xid 13, 31
and 43 neither: these are mostly of the program's own making, and another node would see them again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")

TAIL = 400
"""Lines from the end of a log that are read: the other ranks' tracebacks follow the fault."""

PROGRAMS_OWN = frozenset({13, 31, 43, 45, 68, 69})
"""Xid codes that a program causes: its illegal access, its page fault, and what follows from its death."""


class Fault(NamedTuple):
    """A sign of broken hardware and the line that showed it."""

    description: str
    line: str
    local: bool
    """It is of this machine. A network or NCCL error shows on every machine of a training, whichever is broken."""


SIGNS: tuple[tuple[re.Pattern[str], str, bool], ...] = (
    (re.compile(r"uncorrectable (?:ECC|NVLink) error|ECC error (?:was )?(?:detected|encountered)", re.IGNORECASE), "uncorrectable memory error of a GPU (ECC)", True),
    (re.compile(r"fallen off the bus|GPU is lost|cudaErrorDeviceUnavailable|device is busy or unavailable", re.IGNORECASE), "a GPU is lost", True),
    (re.compile(r"CUDA error: (?:hardware stack error|unspecified hardware|uncorrectable)|CUDA_ERROR_(?:ECC_UNCORRECTABLE|HARDWARE_STACK_ERROR|NVLINK_UNCORRECTABLE)", re.IGNORECASE), "an error of a GPU's hardware", True),
    (re.compile(r"CUDA_ERROR_SYSTEM_NOT_READY|cudaErrorSystemNotReady|fabric ?manager.*(?:not running|fail)", re.IGNORECASE), "NVLink is not ready (fabric manager)", True),
    (re.compile(r"(?:IBV_WC_RETRY_EXC_ERR|got completion .* with (?:error|status=)|NET/IB.*(?:port (?:error|down)))", re.IGNORECASE), "an error of the InfiniBand network", False),
    (re.compile(r"ncclSystemError|ncclRemoteError|NCCL.*unhandled system error|NCCL WARN.*(?:hardware|NVLS.*fail)", re.IGNORECASE), "an error of the system below NCCL", False),
)  # fmt: skip
XID = re.compile(r"NVRM: Xid \([^)]*\): (\d+)")


def find_hardware_fault(lines: Iterable[str]) -> Fault | None:
    """The first sign of broken hardware among the last lines of a log: what follows the first is its consequence."""
    for line in [*lines][-TAIL:]:
        if (found := XID.search(line)) and int(found[1]) not in PROGRAMS_OWN:
            return Fault(f"Xid {found[1]} of a GPU", line.strip(), local=True)
        for pattern, what, here in SIGNS:
            if pattern.search(line):
                return Fault(what, line.strip(), here)
    return None


def faulty_machines(found: Sequence[tuple[T, Fault]]) -> list[tuple[T, Fault]]:
    """Of the machines of one training that show a fault, those that have it; none, if that cannot be told."""
    certain = [each for each in found if each[1].local]
    return certain or (list(found) if len(found) == 1 else [])
