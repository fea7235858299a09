"""A sweep of 1,000 variants, expanded, validated and planned: whole processes, cold. The limits are the issue's."""

from __future__ import annotations

import resource
import shutil
import sys

from tests.bench.measuring import ROOT, median_of_processes, temporary_folder

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
    with temporary_folder() as root:
        (root / ".git").mkdir()
        shutil.copytree(ROOT / "specs", root / "specs")
        (root / "specs" / "1000.yaml").write_text(SWEEP.format(betas=", ".join(tenths)))
        (root / "specs" / "100.yaml").write_text(SWEEP.format(betas=tenths[0]))
        widths = ", ".join(str(32 * i) for i in range(1, 11))
        (root / "specs" / "worst.yaml").write_text(WORST.format(ten=ten, widths=widths))
        print(f"plan --offline -o name of a sweep, median of {ROUNDS} whole processes")
        times = {}
        for spec in ("100", "1000", "worst"):
            argv = ("plan", f"specs/{spec}.yaml", "--offline", "-o", "name")
            (times[spec], cpu), out = median_of_processes(root, ROUNDS, *argv)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest so far
            stages = len(out.splitlines())
            print(f"  {spec:<6} {times[spec]:5.2f} s, {cpu:5.2f} s CPU, {memory:4.0f} MB, {stages:,} stages")
    ratio = times["1000"] / times["100"]
    print(f"  1,000 variants against 100: {ratio:.1f} times (at most {LIMIT_RATIO})")
    if max(times["1000"], times["worst"]) > LIMIT_SECONDS or memory > LIMIT_MB or ratio > LIMIT_RATIO:
        sys.exit(f"over the limit of {LIMIT_SECONDS} s, {LIMIT_MB} MB, {LIMIT_RATIO} times")
