"""What every shipped spec is on its cluster, and what each version of Kubernetes is given, as files to read.

Keys and digests are numbered in the order in which they appear, because they change with every line of the runtime.
Of a ConfigMap the script is left out, and of the stage's file what is in the key. What a stage kind looks like is
written once a cluster; other specs say `as in` where theirs is the same.
"""

from __future__ import annotations

import json
import re

import pytest

from c2f_spec.spec.cluster import VERSIONS
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.manifests.yaml_text import document, emit
from tests.targets.test_render import HOME, SPECS, first, job_in, planned, served, with_placement

MAIN = {"a800": "sims_hint", "kind": "smoke"}
NOUGHT = "0" * 64


def readable(text):
    """`text` with `<1>` for the first digest, and for every name that begins with its start."""
    numbers: dict[str, int] = {}
    for digest in re.findall(r"\b[0-9a-f]{64}\b", text):
        if digest != NOUGHT:
            numbers.setdefault(digest, len(numbers) + 1)
    for digest, number in numbers.items():
        text = text.replace(digest, f"<{number}>").replace(digest[:10], f"<{number}>")
    return re.sub(r'"(<\d+>)"', r"\1", text)  # those that begin with a digit were quoted


def shown(item):
    """An object without what is long and said elsewhere."""
    if item["kind"] != "ConfigMap":
        return item
    data = {**item["data"], "boot.py": "(c2f_spec/targets/kubernetes/manifests/boot.py)\n"}
    if "stage.json" in data:
        stage = json.loads(data["stage.json"])
        stage["preimage"] = "(what the key is of)"
        data["stage.json"] = json.dumps(stage, indent=1) + "\n"
    if "keys" in data:
        data["keys"] = f"({len(json.loads(data['keys']))} stages)\n"
    return {**item, "data": data}


def by_kind(spec):
    """Kind of stage → its objects as text, of the first stage of each kind."""
    plan = planned(spec, HOME[spec])
    found = {}
    for stage in plan.stages:
        if stage.kind not in found:
            found[stage.kind] = readable(emit([shown(o) for o in prepare(plan, stage)]))
    found["driver"] = readable(emit([shown(plan_map(plan)), driver_job(plan, NOUGHT)]))
    return found


@pytest.mark.parametrize("spec", [p.stem for p in SPECS])
def test_every_shipped_spec(golden, spec):
    main = MAIN[HOME[spec]]
    known = by_kind(main) if spec != main else {}
    parts = []
    for kind, text in by_kind(spec).items():
        if without_names(text) == without_names(known.get(kind, "")):
            parts.append(f"# {kind}: as in {main}\n")
        else:
            parts.append(f"# {kind}\n{text}")
    golden(f"render/{spec}-{HOME[spec]}.yaml", "".join(parts))


def without_names(text):
    """What differs between two stages of a kind, or two plans, that are otherwise the same."""
    text = re.sub(r"<\d+>", "<>", text)
    return re.sub(r"(c2f-spec/label: |name: |keys: ).*|\(\d+ stages\)", r"\1", text)


def test_a_teacher_behind_vllm(golden):
    plan = served()
    job = job_in(prepare(plan, first(plan, "distil")))
    golden("render/vllm.yaml", readable(document(job)))


def test_training_on_two_nodes(golden):
    plan = with_placement(planned("sims_hint", "a800"), "grpo", nodes=2, gpus=8)
    objects = [shown(o) for o in prepare(plan, first(plan, "grpo"))]
    golden("render/two_nodes.yaml", readable(emit(objects)))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version(golden, version):
    """Of the Jobs, what a version decides: all but their pods."""
    plan = planned("sims_hint", "a800", kubernetes=version)
    plan = with_placement(with_placement(plan, "evaluate", shards=4), "grpo", nodes=2, gpus=8)
    parts = []
    for kind in ("sft", "evaluate", "grpo"):
        job = job_in(prepare(plan, first(plan, kind)))
        job["spec"]["template"] = "(of all versions)"
        parts.append(f"# {kind}\n{readable(document(job))}")
    golden(f"render/versions/{version}.yaml", "".join(parts))
