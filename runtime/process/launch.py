"""`python -m runtime.process.launch SCRATCH N GRACE MODULE ARG…`: torchrun on this node, and a note of who was killed by what.

torchrun knows the signal that ended a worker and keeps it to itself; `killed-<rank>.json` passes it on.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


def end_with_parent() -> None:
    """Get SIGTERM when the process that started this one dies, however it dies; now, if it is dead already.

    `C2F_PARENT` names that process. Linux only; elsewhere nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(os.environ.get("C2F_PARENT", os.getppid())):
        os.kill(os.getpid(), signal.SIGTERM)


def main(scratch: Path, processes: str, grace: str, module: list[str]) -> int:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    end_with_parent()
    os.environ["C2F_PARENT"] = str(os.getpid())
    # Workers that are told to stop save first: torchrun must not kill them before `runtime.process.workers` would.
    options = [
        *Nodes.from_environment().torchrun_options(),
        "--nproc-per-node",
        processes,
        "--max-restarts",
        "0",
    ]
    options += ["--shutdown-timeout", str(int(float(grace)) + 1), "--module"]
    try:
        run.run(run.parse_args([*options, *module]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        for rank, failure in error.failures.items():
            if failure.exitcode < 0:
                note = {"rank": rank, "signal": -failure.exitcode}
                (scratch / f"killed-{rank}.json").write_text(json.dumps(note))
        return 1
    return 0


# Which node of a training this is, and where the nodes meet, as the Indexed Job and its headless Service tell it.
#
# C2F_NODES              how many; absent: one
# JOB_COMPLETION_INDEX   the number of this one
# C2F_RENDEZVOUS         host:port of the first one


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one training, seen from one of them."""

    count: int
    index: int
    rendezvous: str

    @classmethod
    def from_environment(cls) -> Nodes:
        count = int(os.environ.get("C2F_NODES", "1"))
        if count == 1:
            return cls(1, 0, "")
        return cls(count, int(os.environ["JOB_COMPLETION_INDEX"]), os.environ["C2F_RENDEZVOUS"])

    def ranks(self, processes: int) -> range:
        """Of the workers on this node, with as many on each."""
        return range(self.index * processes, (self.index + 1) * processes)

    def torchrun_options(self) -> list[str]:
        """Options that make torchrun's groups of all nodes one. Nodes keep their numbers, whichever comes first."""
        if self.count == 1:
            return ["--standalone"]
        host, _, port = self.rendezvous.rpartition(":")
        meet = ["--master-addr", host, "--master-port", port]
        return ["--nnodes", str(self.count), "--node-rank", str(self.index), *meet]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
