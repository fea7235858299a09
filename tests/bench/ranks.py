"""Training on two processes against one at the same batch, without ZeRO and with 2 and 3, answers from a table.

The largest difference of any metric of any step, and of any weight at the end; then fifty steps in each of which other
groups are hard, on some ranks and not on others; then training under ZeRO that is stopped, killed and resumed. Needs
`pip install -c constraints.txt --no-build-isolation deepspeed`, whose first run compiles for two minutes. Exit 1 if a
metric is further apart than 1e-5, a bit differs or a run hangs.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from tests.bench.measuring import exit_with, temporary_folder
from tests.support import omni
from tests.support.killed import Stand, together
from tests.support.ranks import CASES, REPLACED, Case, apart, make_inputs

MOST = 1e-5
PATTERNS = replace(
    REPLACED, name="patterns", patterns=True, section=REPLACED.section | {"steps": 50, "batch": 8}
)
PATIENCE = 900
"""Seconds after which a run hangs."""
RESUMED = (
    ("sft", "2", "full"),
    ("sft", "3", "full"),
    ("grpo", "2", "full"),
    ("grpo", "3", "full"),
    ("sft", "2", "lora"),
)
RUNS = ((1, "off"), (2, "off"), (2, "2"), (2, "3"))


def main() -> None:
    with temporary_folder() as folder:
        with redirect_stdout(io.StringIO()):
            make_inputs(folder)
        runs = RUNS if find_spec("deepspeed") else RUNS[:2]
        outs = {run: launch(folder, [*CASES, PATTERNS], *run) for run in runs}
        wrong = [line for run in runs[1:] for line in compared(outs[runs[0]], outs[run], *run)]
        if find_spec("deepspeed") is None:
            print("deepspeed is not installed: ZeRO was not tried")
        else:
            wrong += resumed(folder)
    exit_with(wrong)


def launch(folder: Path, cases: list[Case], world: int, zero: str) -> Path:
    """All cases on so many processes. Raises if they do not end."""
    out = folder / f"{world}-{zero}"
    out.mkdir()
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    arguments = ["-m", "tests.support.ranks", str(folder / "cases.json"), str(out), str(folder), zero]
    began = time.monotonic()
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE, env=env
    )
    if done.returncode or not (out / "done").is_file():
        raise SystemExit(
            f"{world} processes, ZeRO {zero}: ended with {done.returncode}\n{done.stdout}\n{done.stderr[-6000:]}"
        )
    print(f"{world} processes, ZeRO {zero}: {len(cases)} trainings in {time.monotonic() - began:.0f} s")
    return out


def compared(one: Path, other: Path, world: int, zero: str) -> list[str]:
    wrong = []
    for case in (*CASES, PATTERNS):
        metrics, weights = apart(one / case.name / "rank-0" / "out", other / case.name / "rank-0" / "out")
        steps = case.section["steps"]
        print(
            f"  {case.name:<28} {world} processes, ZeRO {zero:<4} {steps:>3} steps: metrics {metrics:.1e}, weights {weights:.1e}"
        )
        if metrics > MOST:
            wrong.append(f"{case.name}, {world} processes, ZeRO {zero}: metrics are {metrics:.1e} apart")
    return wrong


def resumed(folder: Path) -> list[str]:
    """Trainings under ZeRO, each stopped once and killed once, against undisturbed ones."""
    with redirect_stdout(io.StringIO()):
        inputs = {"prepare": omni.prepared(), "chains": omni.chains(), "start": omni.skilled()}
    (folder / "killed").mkdir()
    stand = Stand(folder / "killed", str(folder / "store"), inputs)
    wrong = []
    for kind, zero, tuner in RESUMED:
        cell = together(stand, kind, zero, tuner)
        starts = [kill.resumed for kill in cell.kills]
        print(
            f"  {kind}, {tuner}, ZeRO {zero}: stopped and killed, resumed from {starts}: {cell.identical} of {cell.runs} bit-identical"
        )
        wrong += cell.wrong
    return wrong
