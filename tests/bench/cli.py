"""Start-up of the command, against what its imports cost at least. Wall time of whole processes, in interleaved pairs.

The goals: `validate` within 2.0 times the import of its two libraries, `--help` and `--version` within 4 times
`python -c pass`. A ratio is the median over pairs that ran one after the other, so the machine's load is in both. The
package is compiled first, as the libraries were when they were installed.
"""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
from functools import partial

from tests.bench.measuring import ROOT, seconds_of

ROUNDS = 21
PYTHON = ["-c", "pass"]
LIBRARIES = ["-c", "from pydantic import BaseModel; import ruamel.yaml"]
COMMANDS = {
    "--help": (PYTHON, 4.0),
    "--version": (PYTHON, 4.0),
    "validate specs/demo.yaml": (LIBRARIES, 2.0),
    "validate specs/sims_hint.yaml": (LIBRARIES, 2.0),
}
"""Arguments of the command, what it is compared with, and the goal for the ratio."""


def seconds(argv: list[str]) -> float:
    return seconds_of(
        partial(subprocess.run, [sys.executable, *argv], cwd=ROOT, capture_output=True, check=True)
    )


def main() -> None:
    compileall.compile_dir(ROOT / "c2f_spec", quiet=1)
    print(f"start-up, median of {ROUNDS} interleaved pairs")
    for command, (base, goal) in COMMANDS.items():
        argv = ["-m", "c2f_spec", *command.split()]
        pairs = [(seconds(base), seconds(argv)) for _ in range(ROUNDS)]
        ratio = statistics.median(ours / least for least, ours in pairs)
        wall = 1000 * statistics.median(ours for _, ours in pairs)
        name = "the imports" if base is LIBRARIES else "Python"
        word = "within" if ratio <= goal else "over"
        print(
            f"  c2f-spec {command:<30} {wall:5.0f} ms   {ratio:5.2f} x {name}   {word} the goal of {goal:.1f}"
        )
