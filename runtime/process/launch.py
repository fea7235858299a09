"""Run torchrun on this node: `python -m runtime.process.launch SCRATCH N GRACE MODULE ARG…`.

`runtime.process.workers` starts it where a stage has several processes or nodes. torchrun knows the signal that ended a
worker and does not report it; `killed-<rank>.json` does.
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
    """Ask for SIGTERM when the parent process dies, however it dies; send it now if the parent is dead already.

    `C2F_PARENT` is the parent's process id. Linux only; elsewhere it does nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(os.environ.get("C2F_PARENT", os.getppid())):
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one training, and which of them this is. An Indexed Job and its headless Service set the variables."""

    count: int
    """C2F_NODES; absent: 1."""
    index: int
    """JOB_COMPLETION_INDEX: the number of this node."""
    rendezvous: str
    """C2F_RENDEZVOUS: host:port of node 0."""

    @classmethod
    def from_environment(cls) -> Nodes:
        count = int(os.environ.get("C2F_NODES", "1"))
        if count == 1:
            return cls(1, 0, "")
        return cls(count, int(os.environ["JOB_COMPLETION_INDEX"]), os.environ["C2F_RENDEZVOUS"])

    def ranks(self, processes: int) -> range:
        """Return the ranks of the workers on this node, if each node has `processes` of them."""
        return range(self.index * processes, (self.index + 1) * processes)

    def torchrun_options(self) -> list[str]:
        """Return torchrun's options that join all nodes in one group. Nodes keep their numbers, whichever starts first."""
        if self.count == 1:
            return ["--standalone"]
        host, _, port = self.rendezvous.rpartition(":")
        meet = ["--master-addr", host, "--master-port", port]
        return ["--nnodes", str(self.count), "--node-rank", str(self.index), *meet]


def main(scratch: Path, processes: str, grace: str, module: list[str]) -> int:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    end_with_parent()
    os.environ["C2F_PARENT"] = str(os.getpid())
    # Workers that get a signal to stop save first: torchrun must not kill them before `runtime.process.workers` would.
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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
