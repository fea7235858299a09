"""A million predictions to all metrics, with 1,000 bootstrap rounds: seconds and memory of the whole process."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIPS, ROUNDS = 1_000_000, 1000


def main() -> None:
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        with path.open("w") as file:
            for i in range(CLIPS):
                label = round(draw.uniform(-3, 3), 1)
                answer = None if draw.random() < 0.01 else round(label + draw.gauss(0, 0.8), 2)
                file.write(json.dumps({"id": i, "label": label, "prediction": answer}) + "\n")
        started = time.perf_counter()
        command = [sys.executable, "-m", "c2f_spec", "score", str(path), "--family", "mosi", "-o", "json"]
        subprocess.run([*command, "--bootstrap", str(ROUNDS)], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"score of {CLIPS:,} predictions with {ROUNDS:,} resamples: {seconds:.1f} s, {peak:,.0f} MB")
