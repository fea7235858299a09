"""Run the spec, kill it once, check everything, print the table. Exit 1 if a row failed."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.gpu_smoke import kill, measured, place, stages
from tests.gpu_smoke.table import Row, check, render_table

WANTED = 4
"""GPUs of the machine that the spec is written for."""
MINUTES = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_smoke")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, with a tiny student")
    if not parser.parse_args().rehearse:
        return run(place.this_repository(_gpus(), vllm=find_spec("vllm") is not None))
    with tempfile.TemporaryDirectory() as folder:
        return run(place.rehearsal(Path(folder)))


def run(where: place.Place) -> int:
    os.chdir(where.root)
    began = time.monotonic()
    few = f"{where.gpus} GPUs are visible, and the spec is for {WANTED}"
    rows = [
        check("GPUs", where.gpus >= WANTED, few) if where.gpus else Row("GPUs", "not run", "none is visible")
    ]
    code, killed = kill.apply(where)
    rows.append(check("apply", code == 0, f"exit {code}"))
    work = where.work()
    if code == 0:
        rows += stages.student_rows(work, where)
    rows += stages.stage_rows(work, where)
    rows += stages.resumed(work, where, killed)
    rows += measured.against_estimates(work, where)
    rows.append(measured.coefficients(work, where))
    minutes = (time.monotonic() - began) / 60
    rows.append(check("within half an hour", minutes < MINUTES, f"{minutes:.1f} minutes"))
    print(render_table(rows))
    return 1 if any(row.outcome == "fail" for row in rows) else 0


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


if __name__ == "__main__":
    sys.exit(main())
