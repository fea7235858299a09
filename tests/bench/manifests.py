"""1,000 Jobs to YAML after planning, checked; what a cluster would be sent. `kustomize build` takes 16 s for as many."""

from __future__ import annotations

import resource
import statistics
import time
from dataclasses import replace
from typing import Any

from c2f_spec.keys import content_key
from c2f_spec.language.yaml_writer import render_manifests
from c2f_spec.plan.compile import compile_plan, load_environment, load_variants
from c2f_spec.plan.model import Plan
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.manifests.validation import manifest_errors
from tests.bench.measuring import ROOT

JOBS = 1000
RUNS = 7


def main() -> None:
    plan = many(JOBS)
    environment = plan.environment
    assert environment.kind == "kubernetes"
    times: dict[str, list[float]] = {"objects": [], "YAML": [], "checks": []}
    for _ in range(RUNS):
        made, seconds = timed(lambda: [prepare(plan, stage) for stage in plan.stages[-JOBS:]])
        times["objects"].append(seconds)
        flat = [item for objects in made for item in objects]
        text, seconds = timed(lambda flat=flat: render_manifests(flat))
        times["YAML"].append(seconds)
        found, seconds = timed(lambda flat=flat: manifest_errors(flat, environment))
        times["checks"].append(seconds)
        assert found == []
    medians = {name: statistics.median(values) for name, values in times.items()}
    lines = text.count("\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"manifests: {JOBS:,} Jobs with their ConfigMaps, {lines:,} lines of YAML, processor time, median of {RUNS}"
    )
    print("  " + ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in medians.items()), end="")
    print(f"; together {sum(medians.values()) * 1000:.0f} ms, {peak} MB")


def many(jobs: int) -> Plan:
    """A plan whose last stages are so many trainings."""
    loaded = load_variants(ROOT / "specs" / "sims_hint.yaml")
    plan = compile_plan(loaded, None, load_environment("a800", ROOT, None), "a800")
    stage = next(s for s in plan.stages if s.kind == "grpo")
    copies = []
    for seed in range(jobs):
        preimage = {**stage.preimage, "spec": {**stage.preimage["spec"], "seed": seed}}
        copies.append(replace(stage, preimage=preimage, key=content_key(preimage)))
    return replace(plan, stages=(*plan.stages, *copies))


def timed(act: Any) -> tuple[Any, float]:
    """Processor time: the machine is shared."""
    start = time.process_time()
    result = act()
    return result, time.process_time() - start
