"""A sweep of 1,000 variants, expanded, validated and planned: whole processes, cold. The limits are the issue's."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 5
LIMIT_SECONDS, LIMIT_MB, LIMIT_RATIO = 1.5, 300, 12
SWEEP = """\
extends: smoke.yaml
name: sweep
sweep:
  matrix:
    grpo.beta: [{betas}]
    grpo.learning_rate: [1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5, 7e-5, 8e-5, 9e-5, 1e-4]
    sft.learning_rate: [1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5, 7e-5, 8e-5, 9e-5, 1e-4]
  max_variants: 1000
"""
WORST = """\
extends: smoke.yaml
name: sweep
sweep:
  matrix:
    media.max_frames: [{ten}]
    data.render_seed: [{ten}]
    student.hidden: [{widths}]
  max_variants: 1000
"""
"""Nothing that costs anything is shared: every stage of every variant has a key of its own."""


def main() -> None:
    ten = ", ".join(map(str, range(1, 11)))
    tenths = [f"0.{i}" for i in range(10)]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / ".git").mkdir()
        shutil.copytree(ROOT / "specs", root / "specs")
        (root / "specs" / "1000.yaml").write_text(SWEEP.format(betas=", ".join(tenths)))
        (root / "specs" / "100.yaml").write_text(SWEEP.format(betas=tenths[0]))
        widths = ", ".join(str(32 * i) for i in range(1, 11))
        (root / "specs" / "worst.yaml").write_text(WORST.format(ten=ten, widths=widths))
        print(f"plan --offline -o name of a sweep, median of {ROUNDS} whole processes")
        times = {}
        for spec in ("100", "1000", "worst"):
            times[spec], cpu, memory, stages = measured(root, spec)
            print(f"  {spec:<6} {times[spec]:5.2f} s, {cpu:5.2f} s CPU, {memory:4.0f} MB, {stages:,} stages")
    ratio = times["1000"] / times["100"]
    print(f"  1,000 variants against 100: {ratio:.1f} times (at most {LIMIT_RATIO})")
    if max(times["1000"], times["worst"]) > LIMIT_SECONDS or memory > LIMIT_MB or ratio > LIMIT_RATIO:
        sys.exit(f"over the limit of {LIMIT_SECONDS} s, {LIMIT_MB} MB, {LIMIT_RATIO} times")


def measured(root: Path, spec: str) -> tuple[float, float, float, int]:
    """Seconds, seconds of CPU, peak memory in MB of the largest child so far, and stages."""
    argv = [sys.executable, "-m", "c2f_spec", "plan", f"specs/{spec}.yaml", "--offline", "-o", "name"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seconds, cpu = [], []
    for _ in range(ROUNDS):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    middle = ROUNDS // 2
    return sorted(seconds)[middle], sorted(cpu)[middle], after.ru_maxrss / 1024, len(done.stdout.splitlines())


if __name__ == "__main__":
    main()
