"""Find hardware faults in log lines. The next attempt of a stage avoids a node that had one.

The patterns match what CUDA, NCCL and the NVIDIA driver print (docs.nvidia.com/deploy/xid-errors,
docs.nvidia.com/deeplearning/nccl, troubleshooting). Out of memory, illegal addresses and Xid 13, 31 and 43
are not among them: mostly the program causes them, and they would occur on another node again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")

TAIL = 400
"""Lines that are read from the end of a log: the tracebacks of other ranks follow the fault."""

PROGRAM_XIDS = frozenset({13, 31, 43, 45, 68, 69})
"""Xid codes that a program causes: illegal access, page faults, and their consequences."""


class Fault(NamedTuple):
    """A hardware fault and the log line that reports it."""

    description: str
    line: str
    local: bool
    """Whether the fault is of this machine. Network and NCCL errors occur on every machine of a training."""


PATTERNS: tuple[tuple[re.Pattern[str], str, bool], ...] = (
    (re.compile(r"uncorrectable (?:ECC|NVLink) error|ECC error (?:was )?(?:detected|encountered)", re.IGNORECASE), "uncorrectable memory error of a GPU (ECC)", True),
    (re.compile(r"fallen off the bus|GPU is lost|cudaErrorDeviceUnavailable|device is busy or unavailable", re.IGNORECASE), "a GPU is lost", True),
    (re.compile(r"CUDA error: (?:hardware stack error|unspecified hardware|uncorrectable)|CUDA_ERROR_(?:ECC_UNCORRECTABLE|HARDWARE_STACK_ERROR|NVLINK_UNCORRECTABLE)", re.IGNORECASE), "an error of a GPU's hardware", True),
    (re.compile(r"CUDA_ERROR_SYSTEM_NOT_READY|cudaErrorSystemNotReady|fabric ?manager.*(?:not running|fail)", re.IGNORECASE), "NVLink is not ready (fabric manager)", True),
    (re.compile(r"(?:IBV_WC_RETRY_EXC_ERR|got completion .* with (?:error|status=)|NET/IB.*(?:port (?:error|down)))", re.IGNORECASE), "an error of the InfiniBand network", False),
    (re.compile(r"ncclSystemError|ncclRemoteError|NCCL.*unhandled system error|NCCL WARN.*(?:hardware|NVLS.*fail)", re.IGNORECASE), "an error of the system below NCCL", False),
)  # fmt: skip
XID = re.compile(r"NVRM: Xid \([^)]*\): (\d+)")


def find_hardware_fault(lines: Iterable[str]) -> Fault | None:
    """Return the first hardware fault among the last lines of a log, or `None`; later ones are consequences."""
    for line in [*lines][-TAIL:]:
        if (found := XID.search(line)) and int(found[1]) not in PROGRAM_XIDS:
            return Fault(f"Xid {found[1]} of a GPU", line.strip(), local=True)
        for pattern, description, local in PATTERNS:
            if pattern.search(line):
                return Fault(description, line.strip(), local)
    return None


def faulty_machines(found: Sequence[tuple[T, Fault]]) -> list[tuple[T, Fault]]:
    """Return the machines of one training that have a fault of their own; none if that cannot be decided."""
    local = [each for each in found if each[1].local]
    return local or (list(found) if len(found) == 1 else [])
