"""What hints taught in specs/hint_study.yaml: answers of the test clips by polarity, mean and deviation over seeds.

Runs what is missing of the study first (`apply`), then reads predictions and curves from its store.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import defaultdict

from c2f_spec.metrics.scoring import score
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import Bootstrap
from c2f_spec.store import records
from tests.bench.learns import objects_of, run, watched

SPEC = "specs/hint_study.yaml"
SET = "icwsm2014-movie"
RARE, COMMON = "negative", "positive"
LAST = 10
"""Steps of GRPO at its end, over which sampled first answers are counted."""


def main() -> None:
    seconds, _ = watched("apply", SPEC)
    plan = json.loads(run("plan", SPEC, "-o", "json"))
    found = defaultdict(list)
    for variant in plan["variants"]:
        found[re.sub(r"-s\d+$", "", variant["name"])].append(variant_metrics(plan, variant))
    print(
        f"{SPEC}: {len(plan['variants'])} variants, {seconds:.0f} s; percent but for MAE, mean (deviation) over seeds"
    )
    columns = list(next(iter(found.values()))[0])
    print(f"{'':24}" + "".join(f"{name:>15}" for name in columns))
    for name, seeds in found.items():
        print(
            f"{name:24}"
            + "".join(f"{format_seeds([row[column] for row in seeds]):>15}" for column in columns)
        )


def format_seeds(values: list[float | None]) -> str:
    known = [v for v in values if v is not None and not math.isnan(v)]
    if not known:
        return "-"
    deviation = f" ({statistics.stdev(known):.1f})" if len(known) > 1 else ""
    return f"{statistics.mean(known):.1f}{deviation}"


def variant_metrics(plan: dict, variant: dict) -> dict[str, float | None]:
    """One seed of one way of training."""
    stages = {stage["key"]: stage for stage in plan["stages"] if stage["key"] in variant["stages"]}
    answers = rows(plan, stages, "evaluate", "predictions.jsonl")
    curve = rows(plan, stages, "grpo", "metrics.jsonl")
    metrics = score(answers, DATASETS[SET], bootstrap=Bootstrap())
    by = {p: [a["polarity"] == p for a in answers if a["true"] == p] for p in (RARE, COMMON)}
    sampled = {p: [row[f"polarity/{p}"] for row in curve[-LAST:] if f"polarity/{p}" in row] for p in by}
    return {
        "tag of rare": share(by[RARE]),
        "tag of common": share(by[COMMON]),
        "tag of all": share([a["polarity"] == a["true"] for a in answers]),
        "tag = score": percent(metrics["tag_score_agreement"]),
        "format": percent(metrics["format_rate"]),
        "Acc2": percent(metrics["Acc2"]),
        "F1": percent(metrics["F1"]),
        "MAE": metrics["MAE"],
        "sampled rare": share(sampled[RARE]),
        "sampled common": share(sampled[COMMON]),
        "hinted": share([row["hint/groups"] for row in curve]),
    }


def rows(plan: dict, stages: dict, kind: str, name: str) -> list[dict]:
    """Lines of a file of the variant's stage of that kind; nothing if it has none."""
    objects = objects_of(plan)
    for stage in stages.values():
        if stage["kind"] == kind:
            record = records.read_record(objects, kind, stage["key"])
            text = (records.fetch(objects, record) / name).read_text()
            return [json.loads(line) for line in text.splitlines()]
    return []


def share(values: list[float]) -> float | None:
    return 100 * sum(values) / len(values) if values else None


def percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
