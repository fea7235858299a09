"""A million predictions to all metrics, with 1,000 bootstrap rounds: seconds and memory of the whole process."""

from __future__ import annotations

import json
import random
import resource

from tests.bench.measuring import median_of_processes, temporary_folder

CLIPS, ROUNDS = 1_000_000, 1000


def main() -> None:
    draw = random.Random(1)
    with temporary_folder() as folder:
        path = folder / "predictions.jsonl"
        with path.open("w") as file:
            for i in range(CLIPS):
                label = round(draw.uniform(-3, 3), 1)
                answer = None if draw.random() < 0.01 else round(label + draw.gauss(0, 0.8), 2)
                file.write(json.dumps({"id": i, "label": label, "prediction": answer}) + "\n")
        argv = ("score", str(path), "--family", "mosi", "-o", "json", "--bootstrap", str(ROUNDS))
        (seconds, _), _ = median_of_processes(folder, 1, *argv)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"score of {CLIPS:,} predictions with {ROUNDS:,} resamples: {seconds:.1f} s, {peak:,.0f} MB")
