"""Which node of a training this is, and where the nodes meet, as the Indexed Job and its headless Service tell it.

C2F_NODES              how many; absent: one
JOB_COMPLETION_INDEX   the number of this one
C2F_RENDEZVOUS         host:port of the first one
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one training, seen from one of them."""

    count: int
    this: int
    meet: str

    @classmethod
    def here(cls) -> Nodes:
        count = int(os.environ.get("C2F_NODES", "1"))
        if count == 1:
            return cls(1, 0, "")
        return cls(count, int(os.environ["JOB_COMPLETION_INDEX"]), os.environ["C2F_RENDEZVOUS"])

    def ranks(self, processes: int) -> range:
        """Of the workers on this node, with as many on each."""
        return range(self.this * processes, (self.this + 1) * processes)

    def torchrun(self) -> list[str]:
        """Options that make torchrun's groups of all nodes one. Nodes keep their numbers, whichever comes first."""
        if self.count == 1:
            return ["--standalone"]
        host, _, port = self.meet.rpartition(":")
        meet = ["--master-addr", host, "--master-port", port]
        return ["--nnodes", str(self.count), "--node-rank", str(self.this), *meet]
