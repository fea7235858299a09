"""`python -m runtime.launch SCRATCH N GRACE MODULE ARG…`: torchrun on this node, and a note of who was killed by what.

torchrun knows the signal that ended a worker and keeps it to itself; `killed-<rank>.json` passes it on.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from runtime.nodes import Nodes

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
    # Workers that are told to stop save first: torchrun must not kill them before `runtime.workers` would.
    options = [*Nodes.here().torchrun(), "--nproc-per-node", processes, "--max-restarts", "0"]
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
