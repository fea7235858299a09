"""Where stages run: defaults by pool, what the spec asks for, and what cannot be."""

from pathlib import Path

import pytest

from c2f_spec.errors import InvalidSpec
from c2f_spec.language.document import load_document
from c2f_spec.language.parse import parse
from c2f_spec.plan.compile import load_environment
from c2f_spec.plan.keys import ExperimentSource, build_plan
from c2f_spec.plan.model_servers import engine_problems
from c2f_spec.plan.placement import placement_problems, placements
from c2f_spec.spec.cluster import DefaultScheduler, KubernetesEnvironment, Kueue, Pool
from tests.diagnostics.test_codes import CLUSTER, NODE
from tests.plan.test_plan import HERE_ENVIRONMENT, PINS

REAL = """\
c2f: v1
name: real
data: {train: ch-sims}
student: {model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}
teacher: {model: Qwen/Qwen3-Omni-30B-A3B-Instruct, revision: 26291f793822fb6be9555850f06dfe95f2d7e695}
filters: {polarity_match: {}}
sft: {tuner: lora}
grpo: {tuner: full, learning_rate: 1e-6}
evaluate: {checkpoints: [grpo], datasets: [ch-sims]}
"""
TINY = REAL.replace(REAL.split("\n")[3], "student: tiny").replace(REAL.split("\n")[4], "teacher: lexicon")


def experiment(more: str = "", base: str = REAL):
    return parse(load_document((base + more).encode(), "s.yaml"))[0]


def cluster(scheduler: str = "kueue", **gpus: int) -> KubernetesEnvironment:
    """Pools by their GPUs a node, the first of them without any for processors, else the first."""
    pools = {
        name: Pool(gpus=n, gpu="A800-SXM4-80GB", gpu_memory="80Gi", nodes=4, **NODE)
        for name, n in gpus.items()
    }
    queue = Kueue(queue="c2f") if scheduler == "kueue" else DefaultScheduler()
    cpu = next((name for name, n in gpus.items() if n == 0), next(iter(gpus)))
    return CLUSTER.model_copy(update={"pools": pools, "cpu_pool": cpu, "scheduler": queue})


def test_stages_in_which_vllm_generates_run_in_the_image_that_has_it():
    e = experiment(
        base=REAL.replace("learning_rate: 1e-6", "learning_rate: 1e-6, engine: vllm").replace(
            "datasets: [ch-sims]", "datasets: [ch-sims], engine: {kind: vllm, tensor_parallel: 2}"
        )
    )
    plain = cluster(cpu=0, a800=8)
    found = list(engine_problems(e, plain, "here"))
    assert [(p.code, p.loc) for p in found] == [
        ("C2F460", ("grpo", "engine")),
        ("C2F460", ("evaluate", "engine")),
    ]
    assert all("engine_image" in p.hint and "transformers" in p.hint for p in found)
    able = plain.model_copy(update={"engine_image": f"r.example.org/c2f/engine@sha256:{'2' * 64}"})
    assert list(engine_problems(e, able, "here")) == []
    images = {kind: place.image for kind, place in placements(e, able).items()}
    assert {kind for kind, image in images.items() if image == able.engine_image} == {"grpo", "evaluate"}
    assert {image for kind, image in images.items() if kind not in ("grpo", "evaluate")} == {able.image}


def test_a_server_of_vllm_is_for_this_machine():
    engine = "engine: {kind: vllm, mode: server, url: 'http://vllm:8000'}"
    e = experiment(base=REAL.replace("learning_rate: 1e-6", f"learning_rate: 1e-6, {engine}"))
    able = cluster(cpu=0, a800=8).model_copy(update={"engine_image": f"r.io/e@sha256:{'2' * 64}"})
    [problem] = engine_problems(e, able, "here")
    assert (problem.code, "colocate" in problem.hint) == ("C2F460", True)
    assert list(engine_problems(e, load_environment("local", Path.cwd(), None), "local")) == []


def test_defaults_are_the_papers():
    """METHOD 8.1 and 8.4: four GPUs, two for the teacher, ZeRO 2 for lora and 3 for full, none where none is needed."""
    found = placements(experiment(), cluster(cpu=0, small=1, a800=8))
    assert {k: (p.pool, p.gpus, p.zero) for k, p in found.items()} == {
        "prepare": ("cpu", 0, "auto"),
        "distil": ("a800", 2, "auto"),
        "filter": ("cpu", 0, "auto"),
        "sft": ("small", 1, "off"),
        "grpo": ("small", 1, "off"),
        "evaluate": ("small", 1, "auto"),
        "baseline": ("cpu", 0, "auto"),
    }
    wide = placements(experiment(), cluster(a800=8))
    assert {k: (wide[k].gpus, wide[k].processes, wide[k].zero) for k in ("sft", "grpo")} == {
        "sft": (4, 4, "2"),
        "grpo": (4, 4, "3"),
    }
    assert all(p.pool == "a800" for p in wide.values())


@pytest.mark.parametrize(
    ("batch", "generations", "nodes", "gpus"),
    [(16, 4, 1, 4), (1, 4, 1, 4), (1, 3, 1, 3), (5, 5, 1, 1), (6, 4, 2, 4), (3, 2, 2, 3), (7, 2, 2, 1)],
)
def test_training_takes_as_many_gpus_as_share_its_rows(batch, generations, nodes, gpus):
    asked = f"  \nresources: {{grpo: {{nodes: {nodes}}}}}\n"
    e = experiment(asked).model_dump()
    e["grpo"] |= {"batch": batch, "generations": generations}
    found = placements(type(experiment()).model_validate(e), cluster(a800=8))["grpo"]
    assert (found.gpus, found.nodes) == (gpus, nodes)


def test_what_the_spec_says_is_what_is_placed():
    asked = (
        "resources:\n  sft: {gpus: 8, nodes: 2, pool: big, zero: 3, micro_batch: 1}\n"
        "  evaluate: {gpus: 1, shards: 3, pool: big}\ncheckpoints: {every: 50, keep: 3}\n"
    )
    found = placements(experiment(asked), cluster(a800=4, big=8))
    sft, cell = found["sft"], found["evaluate"]
    assert (sft.pool, sft.gpus, sft.nodes, sft.processes, sft.zero, sft.micro_batch) == (
        "big",
        8,
        2,
        8,
        "3",
        1,
    )
    assert (sft.checkpoints.every, sft.checkpoints.keep) == (50, 3)
    assert (cell.pool, cell.gpus, cell.shards) == ("big", 1, 3)
    assert found["grpo"].pool == "a800"


def test_this_machine_has_no_pools_and_all_its_gpus():
    found = placements(
        experiment("resources: {sft: {gpus: 2, pool: big, nodes: 2, zero: 3}}\n"), HERE_ENVIRONMENT
    )
    assert (found["sft"].pool, found["sft"].gpus, found["sft"].nodes, found["sft"].zero) == (None, 2, 1, "3")
    assert found["grpo"].gpus == 0
    assert list(placement_problems(experiment(), HERE_ENVIRONMENT, "here")) == []


@pytest.mark.parametrize(
    ("asked", "pools", "code", "loc", "says"),
    [
        ("resources: {sft: {pool: big}}", {"a800": 8}, "C2F431", ("resources", "sft", "pool"), "no pool `big`"),
        ("resources: {grpo: {gpus: 16}}", {"a800": 8}, "C2F432", ("resources", "grpo", "gpus"), "needs 16 GPUs"),
        ("resources: {sft: {pool: cpu}}", {"a800": 8, "cpu": 0}, "C2F432", ("resources", "sft", "pool"), "have none"),
        ("resources: {distil: {gpus: 8}}", {"a800": 4}, "C2F432", ("resources", "distil", "gpus"), "needs 8 GPUs"),
        ("", {"one": 1}, "C2F432", ("teacher",), "`distil` needs 2 GPUs"),
        ("resources: {distil: {pool: one}}", {"one": 1, "a800": 4}, "C2F432", ("resources", "distil", "pool"), "2 GPUs"),
        ("resources: {sft: {nodes: 8, gpus: 4}}", {"a800": 8}, "C2F434", ("resources", "sft", "nodes"), "has 4"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_refused_there(asked, pools, code, loc, says):
    found = list(placement_problems(experiment(f"{asked}\n"), cluster(**pools), "site"))
    assert [(p.code, p.loc) for p in found] == [(code, loc)]
    assert says in found[0].message
    assert found[0].hint


def test_several_nodes_need_a_scheduler_that_starts_them_together():
    wide = experiment("resources: {sft: {nodes: 2, gpus: 4}}\n")
    assert list(placement_problems(wide, cluster(a800=8), "site")) == []
    assert [p.code for p in placement_problems(wide, cluster("default", a800=8), "site")] == ["C2F434"]


def test_without_any_gpu_every_model_is_refused_and_the_demo_is_not():
    assert [p.loc for p in placement_problems(experiment(), cluster(cpu=0), "kind")] == [
        ("teacher",), ("sft",), ("grpo",), ("evaluate",)
    ]  # fmt: skip
    demo = experiment(base=TINY)
    assert list(placement_problems(demo, cluster(cpu=0), "kind")) == []
    assert {p.gpus for p in placements(demo, cluster(cpu=0)).values()} == {0}


def test_variants_that_share_a_stage_must_place_it_alike():
    one, two = (experiment(f"resources: {{sft: {{gpus: {n}}}}}\n") for n in (2, 4))
    variants = [
        ExperimentSource(one.model_copy(update={"name": "one"}), ""),
        ExperimentSource(two.model_copy(update={"name": "two"}), ""),
    ]
    with pytest.raises(
        InvalidSpec, match="`one` and `two` share sft-.*, and place it with gpus 2 and 4"
    ) as caught:
        build_plan(variants, PINS, cluster(a800=8), "site")
    assert caught.value.code == "C2F433"
    assert len(build_plan(variants[:1] * 2, PINS, cluster(a800=8), "site").stages) == 6
