"""Manifests as files to read: each shape of a stage, what differs in every shipped spec, and in each version of Kubernetes.

Keys and digests are numbered in the order in which they appear, because they change with every line of the runtime.
Of a ConfigMap the script is left out, and of the stage's file what is in the key. One stage is written whole for each
cluster; other kinds and other specs are the lines that differ. `test_render.py` holds that all of them are valid.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter

import pytest

from c2f_spec.language.yaml_writer import render_manifest, render_manifests
from c2f_spec.spec.cluster import VERSIONS
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.manifests.stage import prepare
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
    """The objects of the first stage of each kind, and of the driver, as text by kind."""
    plan = planned(spec, HOME[spec])
    found = {}
    for stage in plan.stages:
        if stage.kind not in found:
            found[stage.kind] = readable(render_manifests([shown(o) for o in prepare(plan, stage)]))
    found["driver"] = readable(render_manifests([shown(plan_map(plan)), driver_job(plan, NOUGHT)]))
    return found


@pytest.mark.parametrize("cluster", MAIN)
def test_one_node_and_the_driver(golden, cluster):
    kinds = by_kind(MAIN[cluster])
    golden(f"render/{cluster}-sft.yaml", kinds["sft"])
    golden(f"render/{cluster}-driver.yaml", kinds["driver"])


@pytest.mark.parametrize("cluster", MAIN)
def test_every_shipped_spec_and_kind_by_what_differs(golden, cluster):
    """Kinds of the main spec differ from its `sft` by these lines, and other specs from the same kind of the main one."""
    main = MAIN[cluster]
    known = by_kind(main)
    parts = [
        f"# {main} {kind}: from sft\n{changes(known['sft'], text)}"
        for kind, text in known.items()
        if kind not in ("sft", "driver")
    ]
    for spec in sorted(s.stem for s in SPECS if HOME[s.stem] == cluster and s.stem != main):
        kinds = by_kind(spec)
        same = [
            kind for kind, text in kinds.items() if without_names(text) == without_names(known.get(kind, ""))
        ]
        parts.append(f"# {spec}: as in {main}: {', '.join(same) or 'none'}\n")
        parts += [
            f"# {spec} {kind}: from {main}\n{changes(known[kind], text)}"
            for kind, text in kinds.items()
            if kind not in same
        ]
    golden(f"render/{cluster}-kinds.diff", "".join(parts))


def changes(before, after):
    """The lines that differ, with the number of the line where they do."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "".join(f"{line}\n" for line in lines if not line.startswith(("---", "+++")))


def without_names(text):
    """What differs between two stages of a kind, or two plans, that are otherwise the same."""
    text = re.sub(r"<\d+>", "<>", text)
    return re.sub(r"(c2f-spec/label: |name: |keys: ).*|\(\d+ stages\)", r"\1", text)


def test_a_teacher_behind_vllm(golden):
    plan = served()
    job = job_in(prepare(plan, first(plan, "distil")))
    golden("render/vllm.yaml", readable(render_manifest(job)))


def test_training_on_two_nodes(golden):
    plan = with_placement(planned("sims_hint", "a800"), "grpo", nodes=2, gpus=8)
    objects = [shown(o) for o in prepare(plan, first(plan, "grpo"))]
    golden("render/two_nodes.yaml", readable(render_manifests(objects)))


def test_shards(golden):
    plan = with_placement(planned("sims_hint", "a800"), "evaluate", shards=4)
    golden("render/shards.yaml", readable(render_manifest(job_in(prepare(plan, first(plan, "evaluate"))))))


def jobs_of(version):
    """What a version decides of Jobs: all but their pods."""
    plan = planned("sims_hint", "a800", kubernetes=version)
    plan = with_placement(with_placement(plan, "evaluate", shards=4), "grpo", nodes=2, gpus=8)
    parts = []
    for kind in ("sft", "evaluate", "grpo"):
        job = job_in(prepare(plan, first(plan, kind)))
        job["spec"]["template"] = "(of all versions)"
        parts.append(f"# {kind}\n{readable(render_manifest(job))}")
    return "".join(parts)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version(golden, version):
    golden(f"render/jobs-{'1.28' if version == '1.28' else '1.29-and-newer'}.yaml", jobs_of(version))


def test_what_newer_versions_decide_otherwise():
    lines = [line for line in changes(jobs_of("1.28"), jobs_of(VERSIONS[-1])).splitlines() if line[0] in "+-"]
    assert Counter(re.sub(" +", " ", line) for line in lines) == {
        "- onPodConditions: []": 6,
        "+ podReplacementPolicy: Failed": 3,
        "- backoffLimit: 24": 1,
        "+ backoffLimitPerIndex: 6": 1,
    }
