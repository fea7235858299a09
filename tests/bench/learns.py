"""Has the demo's model learned? The whole demo on three seeds, and the issue's numbers from its predictions.

The seeds share prepare, distil, filter and the baselines, so the second and third take less.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

from c2f_spec.metrics.effect import Effect, effect
from c2f_spec.metrics.scoring import majority_rows, score
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import Bootstrap
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.store.protocol import ObjectStore
from tests.bench.measuring import ROOT, c2f
from tests.support.faults import processes_in

SEEDS = (42, 43, 44)
IN_DOMAIN = "icwsm2014-movie"


def main() -> None:
    print(
        f"{'seed':>4} {'model':<5} {'data set':<17} {'format':>6} {'Acc2':>6} {'majority':>8} {'untrained':>9} {'Corr':>6}   Acc2 minus majority, untrained (95 %)"
    )
    for seed in SEEDS:
        text = (ROOT / "specs" / "demo.yaml").read_text()
        spec = ROOT / "specs" / f"demo-{seed}.yaml"  # beside the lock; removed below
        named = re.sub(r"^name: demo", f"name: demo-{seed}", text, flags=re.MULTILINE)
        spec.write_text(re.sub(r"^seed: \d+", f"seed: {seed}", named, flags=re.MULTILINE))
        try:
            seconds, megabytes = watched("apply", str(spec))
            plan = json.loads(run("plan", str(spec), "-o", "json"))
        finally:
            spec.unlink()
        print_rows(seed, plan)
        print(f"{seed:>4} took {seconds:.0f} s; most memory of all its processes together {megabytes} MB")


def run(*argv: str) -> str:
    command = c2f(*argv, "--on", "local")
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def watched(*argv: str) -> tuple[float, int]:
    """Seconds of a call, and the most resident megabytes of all processes that work in the repository."""
    start, most = time.monotonic(), 0
    child = subprocess.Popen(c2f(*argv, "--on", "local"), cwd=ROOT, stdout=subprocess.DEVNULL)
    while child.poll() is None:
        most = max(most, sum(resident(pid) for pid in processes_in(ROOT)))
        time.sleep(0.2)
    if child.returncode:
        raise SystemExit(f"{argv} ended with {child.returncode}")
    return time.monotonic() - start, most


def resident(pid: int) -> int:
    """Megabytes; shared libraries count in every process that uses them."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 2**20
    except (OSError, IndexError):
        return 0


def objects_of(plan: dict) -> ObjectStore:
    return open_store(str(ROOT / plan["environment"]["store"]))


def print_rows(seed: int, plan: dict) -> None:
    objects = objects_of(plan)
    rows: dict[tuple[str, str], list[dict]] = {}
    for stage in plan["stages"]:
        if stage["kind"] == "evaluate":
            record = records.read_record(objects, "evaluate", stage["key"])
            path = records.fetch(objects, record) / "predictions.jsonl"
            spec = stage["preimage"]["spec"]
            lines = path.read_text().splitlines()
            rows[spec["checkpoint"], spec["dataset"]] = [json.loads(line) for line in lines]
    for (checkpoint, name), predictions in sorted(rows.items(), reverse=True):
        if checkpoint == "base":
            continue
        dataset = DATASETS[name]
        found = score(predictions, dataset, bootstrap=Bootstrap())
        base = score(rows["base", name], dataset)
        against = [
            effect([(predictions, other)], "Acc2", dataset, "worst_case", Bootstrap())
            for other in (majority_rows(predictions, dataset), rows["base", name])
        ]
        differences = "  ".join(points(d) for d in against) if name == IN_DOMAIN else ""
        print(
            f"{seed:>4} {checkpoint:<5} {name:<17} {found['format_rate']:6.3f} {found['Acc2']:6.3f} {found['majority_Acc2']:8.3f} {base['Acc2']:9.3f} {found['Corr']:6.3f}   {differences}"
        )


def points(gain: Effect) -> str:
    """Return a paired difference of Acc2 in points, with its interval."""
    low, high = gain.interval
    return f"{100 * gain.delta:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
