"""Start-up of the command, against what its imports cost at least. Wall time of whole processes, alternating.

The goals: `--help` and `--version` within 4 times `python -c pass`, `validate` within 1.5 times its two libraries.
The package is compiled first, as the libraries were when they were installed: where `PYTHONDONTWRITEBYTECODE` is set,
every start of a checkout would compile its source again.
"""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import pydantic, ruamel.yaml": ["-c", "from pydantic import BaseModel; import ruamel.yaml"],
    "c2f-spec --help": ["-m", "c2f_spec", "--help"],
    "c2f-spec --version": ["-m", "c2f_spec", "--version"],
    "c2f-spec validate specs/demo.yaml": ["-m", "c2f_spec", "validate", "specs/demo.yaml"],
    "c2f-spec validate specs/sims_hint.yaml": ["-m", "c2f_spec", "validate", "specs/sims_hint.yaml"],
}


def main() -> None:
    compileall.compile_dir(ROOT / "c2f_spec", quiet=1)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, argv in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, check=True)
            times[name].append(time.perf_counter() - start)
    base, floor = (
        statistics.median(values)
        for values in (times["import pydantic, ruamel.yaml"], times["python -c pass"])
    )
    print(f"start-up, median of {ROUNDS} alternating runs")
    for name, values in times.items():
        middle = statistics.median(values)
        print(
            f"  {name:<42} {middle * 1000:6.0f} ms   {middle / base:5.2f} x the imports   {middle / floor:5.2f} x Python"
        )
