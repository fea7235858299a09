"""GPU-hours and memory: METHOD's own worked examples, what may never get cheaper, and what sharing saves."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.cli.plan_output import describe_cost, describe_hours, describe_memory
from c2f_spec.cost.calibrate import calibrated, observations, with_peak
from c2f_spec.cost.estimate import (
    ROWS_GENERATED,
    ROWS_TRAINED,
    generate_seconds,
    grpo_step_seconds,
    hinted_share,
    load_of,
    train_seconds,
)
from c2f_spec.cost.gpu_hours import GpuHours, Load, estimated, total
from c2f_spec.cost.memory import Sampling, Training, checkpoint_bytes, inference_bytes, training_bytes
from c2f_spec.cost.site import Site, site_of
from c2f_spec.cost.sizes import GIB, SIZES, prompt_tokens, size_of
from c2f_spec.plan.capacity import capacity_problems, memory_problems, pod_problems
from c2f_spec.plan.compile import load_variants
from c2f_spec.plan.costs import cells_alone, rows_alone, saved_share, stage_loads, totals, with_measured
from c2f_spec.plan.placement import placements
from c2f_spec.spec.coefficients import Coefficients
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.spec.handoff import Placement
from c2f_spec.spec.quantities import amount
from c2f_spec.spec.student import Lora, Media
from c2f_spec.store import ledger
from c2f_spec.store.open import open_store
from tests.bench.sharing import LEAST, paper_plan
from tests.plan.test_placement import REAL, cluster, experiment
from tests.plan.test_plan import HERE_ENVIRONMENT
from tests.store.test_ledger import account, entry

ROOT = Path(__file__).parents[2]
OMNI = SIZES["qwen2.5-omni-7b"]
K = Coefficients()
A800 = 80e9
E, SITE = experiment(), cluster(a800=8)


@pytest.fixture(scope="module")
def paper():
    return paper_plan()


# ---- METHOD 8.3 to 8.5


def test_sizes_are_those_of_the_method():
    assert OMNI.adapters(Lora(rank=8)) / 1e6 == pytest.approx(20.2, abs=0.05)
    assert OMNI.adapters(Lora(rank=64)) / 1e6 == pytest.approx(161, abs=1)
    assert OMNI.kv == 56 * 1024
    assert OMNI.weights / GIB == pytest.approx(16.6, abs=0.05)
    assert size_of("Qwen/Qwen3-Omni-30B-A3B-Instruct").weights / GIB == pytest.approx(59, abs=0.2)
    assert size_of("somebody/else") is None


@pytest.mark.parametrize(
    ("dataset", "tokens", "half"),
    [("ch-sims", 1025, 769), ("cmu-mosi", 1165, 845), ("cmu-mosei", 1627, 1115)],
)
def test_prompts_have_the_tokens_of_the_method(dataset, tokens, half):
    assert prompt_tokens(DATASETS[dataset].seconds, Media(), 420) == tokens
    assert prompt_tokens(DATASETS[dataset].seconds, Media(max_pixels=64 * 28 * 28), 420) == half


def training(rank, zero, gpus, rows, learned=1536):
    return Training(OMNI, rank and OMNI.adapters(Lora(rank=rank)), zero, gpus, rows, 1536, learned)


def sampling(vllm=0.0, reference=False):
    return Sampling(reference, 4, vllm)


@pytest.mark.parametrize(
    ("what", "how", "gib"),
    [
        (training(64, "2", 4, 2), None, 30.3),
        (training(None, "2", 4, 1), None, 70.3),
        (training(None, "3", 4, 2), None, 51.9),
        (training(64, "2", 4, 4, 512), sampling(), 30.8),
        (
            training(64, "2", 4, 4, 512),
            sampling(0.35),
            51.7,
        ),  # 58.9 if vLLM did not sleep while the model trains
        (training(None, "3", 4, 4, 512), sampling(reference=True), 69.3),
        (training(None, "3", 4, 4, 512), sampling(0.3, reference=True), 73.8),  # METHOD: about 75
        (training(None, "2", 4, 4, 512), sampling(reference=True), 92.1),
        (training(None, "3", 1, 1), None, 165.5),
        (training(None, "2", 2, 1), None, 100.9),
    ],
)
def test_memory_is_the_methods_table(what, how, gib):
    assert training_bytes(what, how, A800, K) / GIB == pytest.approx(gib, abs=0.05)


def test_a_teacher_leaves_too_little_of_one_gpu():
    size = size_of("qwen3-omni-30b-a3b-instruct")
    one, two = (inference_bytes(size, n, 16, 2800, K) / GIB for n in (1, 2))
    assert one > 0.92 * 79 > two


def step(engine: str, prompt: int) -> float:
    e = experiment(base=GRPO.format(engine=engine))
    return grpo_step_seconds(OMNI, e.grpo, prompt, 320, 4, K)


GRPO = """\
c2f: v1
name: x
data: {{train: ch-sims}}
student: {{model: Qwen/Qwen2.5-Omni-7B, revision: ae9e1690543ffd5c0221dc27f79834d0294cba00}}
grpo: {{tuner: lora, batch: 4, engine: {engine}}}
"""


@pytest.mark.parametrize(
    ("engine", "clips", "prompt", "seconds", "hours"),
    [
        ("transformers", 1368, 900, 22.3, 8.5),
        ("vllm", 1368, 900, 15.6, 5.9),
        ("transformers", 1284, 950, 22.4, 8.0),
    ],
)
def test_grpo_takes_what_the_method_says(engine, clips, prompt, seconds, hours):
    """METHOD 8.5: one clip a GPU and step, four GPUs, four answers each, a quarter of the clips hard."""
    assert step(engine, prompt) == pytest.approx(seconds, abs=0.06)
    assert clips / 4 * step(engine, prompt) * 4 / 3600 == pytest.approx(hours, abs=0.06)


def test_sft_takes_what_the_method_says():
    assert train_seconds(OMNI, 1368 * 3 * 1250, K, full=True) / 3600 == pytest.approx(0.93, abs=0.005)


def test_hint_rounds_and_generation_take_what_the_method_says():
    assert hinted_share(4, K) == pytest.approx(0.68, abs=0.005)
    clips = 457 + 1034 + 686 + 4659
    seconds = [
        generate_seconds(OMNI, clips, 320, K, rows=n, vllm=v) / 60 for n, v in ((32, True), (16, False))
    ]
    assert 15 < seconds[0] < 30  # vLLM
    assert 40 < seconds[1] < 80  # transformers


# ---- facts repeated from elsewhere


def test_the_runtime_trains_and_generates_so_many_rows_at_once():
    from runtime.models.qwen_omni import QWEN_OMNI

    assert (QWEN_OMNI.rows_trained, QWEN_OMNI.rows_generated) == (ROWS_TRAINED, ROWS_GENERATED)


# ---- ranges


def test_a_range_is_told_with_its_basis():
    hours = estimated(Load(4, 750.0, 3600.0, 0.0, 3.0, ""))
    assert (hours.low, hours.high) == (
        pytest.approx(4 * (600 + 1200) / 3600),
        pytest.approx(4 * (937.5 + 10800) / 3600),
    )
    assert describe_hours(hours) == "2.0-13 estimated"
    assert describe_hours(GpuHours(6, 9.5, "scaled", 3)) == "6.0-9.5 scaled (n=3)"
    assert describe_hours(GpuHours(0, 0)) == ""
    assert estimated(Load(0, 0.0, 50.0, 0.0, 3.0, "")) == GpuHours(0, 0, "none")
    assert estimated(Load(1, 750.0, 0.0, 0.0, 3.0, "")).basis == "unknown"


def test_a_sum_is_as_good_as_its_worst_part():
    parts = [GpuHours(1, 2, "measured", 2), GpuHours(0, 0), GpuHours(3, 9, "estimated")]
    assert total(parts) == GpuHours(4, 11, "estimated", 2)
    assert total([]) == GpuHours(0, 0)


# ---- measured runs replace estimates


def seen(took: float, *, reckoned: float = 3600.0, gpus: int = 4, shape: str = "grpo m", **fields):
    owner = account(gpus=gpus, work_seconds=reckoned, shape=shape)
    return entry(attempt=str(took), hours=took / 900, account=owner, **fields)


LOAD = Load(4, 750.0, 3600.0, 0.0, 3.0, "grpo m")


def test_the_same_size_is_measured_and_another_is_scaled():
    """Four GPUs; the start is an estimate in each."""
    start = 4 * 600 / 3600, 4 * 937.5 / 3600
    same = calibrated(LOAD, observations([seen(2000), seen(2400)]))
    assert same == GpuHours(
        pytest.approx(start[0] + 4 * 2000 / 1.1 / 3600),
        pytest.approx(start[1] + 4 * 2400 * 1.1 / 3600),
        "measured",
        2,
    )
    other = calibrated(LOAD, observations([seen(900, reckoned=1800), seen(500, reckoned=1000, gpus=2)]))
    assert other == GpuHours(
        pytest.approx(start[0] + 4 * 1800 / 1.3 / 3600),
        pytest.approx(start[1] + 4 * 1800 * 1.3 / 3600),
        "scaled",
        2,
    )
    assert calibrated(LOAD, observations([seen(900, shape="grpo other")])) == estimated(LOAD)
    assert calibrated(Load(0, 0.0, 9.0, 0.0, 3.0, "grpo m"), observations([seen(900)])) == GpuHours(0, 0)


def test_a_model_of_unknown_size_is_known_by_its_measured_stages():
    base = REAL.replace("Qwen/Qwen2.5-Omni-7B", "lab/omni-9b")
    unknown = load_of(experiment(base=base), "sft", "", site_of("sft", Placement(pool="a800", gpus=4), SITE))
    assert estimated(unknown) == GpuHours(
        pytest.approx(4 * 600 / 3600), pytest.approx(4 * 937.5 / 3600), "unknown"
    )
    assert unknown.memory == 0
    once = seen(2000, reckoned=unknown.work, shape=unknown.shape)
    assert calibrated(unknown, observations([once])).basis == "measured"
    assert [
        p.code for p in memory_problems(experiment(base=base), SITE, "site") if p.loc[0] == "student"
    ] == ["C2F437"]


def test_only_results_that_stand_are_measurements_and_a_resumed_run_is_counted_whole():
    assert observations([seen(900, code=75), seen(900, committed=False), seen(900, reckoned=0.0)]) == []
    (whole,) = observations([seen(1000, waited=100, began=40, reached=100, saved=100)])
    assert whole.took == pytest.approx(900 * 100 / 60)


@given(st.floats(1, 1e5), st.lists(st.tuples(st.floats(1, 1e5), st.floats(1, 1e5)), max_size=5))
def test_what_was_measured_never_makes_a_range_empty(work, runs):
    load = LOAD._replace(work=work)
    found = calibrated(load, observations([seen(took, reckoned=reckoned) for took, reckoned in runs]))
    assert 0 < found.low <= found.high
    assert found.measured <= len(runs)


def test_a_measured_peak_stands_in_place_of_the_estimate():
    peaks = [seen(900, measured={"peak_gpu_bytes": n * GIB}) for n in (30, 33)]
    load = with_peak(LOAD._replace(memory=31 * GIB), observations([*peaks, seen(900, reckoned=60.0)]))
    assert load.peak == 33 * GIB
    assert describe_memory(load) == "4 x 33 measured"
    assert describe_memory(LOAD._replace(memory=31 * GIB)) == "4 x 31"
    assert describe_memory(LOAD._replace(gpus=0)) == ""


def test_a_plan_says_what_stored_stages_took_and_scales_the_rest(paper, tmp_path):
    store = open_store(str(tmp_path))
    done = next(s for s in paper.stages if s.kind == "grpo")
    owner = account(gpus=4, low=1.8, high=11.0, shape=done.load.shape, work_seconds=done.load.work)
    ledger.add(store, entry(done.key, hours=7.1, account=owner))
    stages = tuple(replace(s, action="reuse" if s is done else "run") for s in paper.stages)
    plan = with_measured(replace(paper, stages=stages), store)
    found = {s.label: s for s in plan.stages}
    assert plan.stage(done.key).reason == "took 7.1 GPU-hours, estimated before as 1.8-11.0"
    assert plan.stage(done.key).gpu_hours.basis == "measured"
    assert {s.gpu_hours.basis for s in plan.stages if s.kind == "grpo" and s.key != done.key} == {"scaled"}
    assert found["supervised fine-tuning"].gpu_hours.basis == "estimated"
    assert totals(plan)["gpu_hours"]["basis"] == "estimated"


# ---- monotone


def load(kind: str, **changes):
    e = E
    for path, value in changes.items():
        section, field = path.split("__")
        part = getattr(e, section)
        e = e.model_copy(update={section: part.model_copy(update={field: value})})
    site = site_of(kind, placements(e, SITE)[kind], SITE)
    return load_of(e, kind, "ch-sims", site)


@given(
    st.sampled_from(
        [
            ("sft", "sft__epochs"),
            ("sft", "sft__steps"),
            ("sft", "media__max_frames"),
            ("grpo", "grpo__epochs"),
            ("grpo", "grpo__steps"),
            ("grpo", "grpo__generations"),
            ("grpo", "grpo__max_new_tokens"),
            ("grpo", "media__max_frames"),
            ("evaluate", "media__max_frames"),
            ("distil", "teacher__samples"),
            ("distil", "teacher__max_new_tokens"),
        ]
    ),
    st.integers(1, 40).map(lambda n: 4 * n),
    st.integers(0, 40).map(lambda n: 4 * n),
)
def test_more_is_never_cheaper(what, amount, more):
    kind, field = what
    less, greater = load(kind, **{field: amount}), load(kind, **{field: amount + more})
    assert greater.nominal >= less.nominal
    assert greater.memory >= less.memory


@given(st.integers(1, 5000), st.integers(0, 5000), st.sampled_from(["distil", "sft", "grpo", "evaluate"]))
def test_more_clips_are_never_cheaper(clips, more, kind):
    split = "test" if kind == "evaluate" else "train"

    def limited(n):
        limit = E.data.limit.model_copy(update={split: n})
        return load(kind, data__limit=limit).nominal

    assert limited(clips + more) >= limited(clips)


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.integers(1, 64))
def test_a_range_holds_its_nominal(work, start, gpus):
    given_ = Load(gpus, start, work, 0.0, 3.0, "")
    hours = estimated(given_)
    assert hours.low <= given_.nominal * (1 + 1e-9)
    assert given_.nominal <= hours.high * (1 + 1e-9)


# ---- memory is checked where the spec is read


@pytest.mark.parametrize(
    ("more", "code", "says", "hint"),
    [
        ("resources: {grpo: {zero: 2}}", "C2F435", "`grpo`", "set `grpo.tuner: lora`"),
        ("resources: {grpo: {gpus: 1}}", "C2F435", "`grpo`", "set `grpo.tuner: lora`"),
        ("resources: {distil: {gpus: 1}}", "C2F435", "`distil`", "set `resources.distil.gpus: 2`"),
        ("", "C2F435", "`grpo`", "set `resources.grpo.gpus: 8`; or set `grpo.tuner: lora`"),
    ],
)
def test_what_does_not_fit_is_told_with_the_field_to_change(more, code, says, hint):
    found = [
        p for p in memory_problems(experiment(f"{more}\n"), cluster(a800=8), "site") if says in p.message
    ]
    assert [p.code for p in found] == [code]
    assert hint in found[0].hint
    assert "of the 79 GiB" in found[0].message


def test_vllm_is_given_what_holds_the_model_and_hints_offer_nothing_less():
    engine = "engine: {kind: vllm, memory: %s}"
    real = REAL.replace("learning_rate: 1e-6", f"learning_rate: 1e-6, {engine}")
    [cramped] = [
        p for p in memory_problems(experiment(base=real % 0.2), cluster(a800=8), "site") if p.code == "C2F442"
    ]
    assert cramped.loc == ("grpo", "engine", "memory")
    assert "set it to 0.3 or more" in cramped.hint
    [tight] = [
        p
        for p in memory_problems(experiment(base=real % 0.35), cluster(a800=8), "site")
        if p.loc == ("grpo",)
    ]
    assert tight.code == "C2F435"
    assert "set `grpo.engine.tensor_parallel: 2` and `grpo.engine.memory: 0.2`" in tight.hint
    assert "`grpo.engine.memory: 0.17`" not in tight.hint


@pytest.mark.parametrize("spec", ["gpu_smoke", "gpu_smoke_transformers"])
def test_the_first_hour_fits_the_machine_that_it_is_written_for(spec):
    """4 GPUs of 80 GB; the teacher is spread over all of them."""
    environment = LocalEnvironment(c2f="v1", kind="local", store="s", gpus=4, demo=True)
    for loaded in load_variants(ROOT / "specs" / f"{spec}.yaml"):
        found = [
            p for p in capacity_problems(loaded.experiment, environment, "here") if p.severity == "error"
        ]
        assert [(p.loc, p.message) for p in found] == []


def test_a_smaller_gpu_is_warned_of_sooner():
    site = cluster(a800=8)
    pool = site.pools["a800"].model_copy(update={"gpu_memory": "40Gi"})
    small = site.model_copy(update={"pools": {"a800": pool}})
    asked = experiment("resources: {grpo: {gpus: 8}}\n")
    warned = [p for p in memory_problems(asked, small, "site") if p.loc == ("sft",)]
    assert [p.code for p in warned] == ["C2F436"]
    words = "set `resources.sft.zero: 3`; or set `resources.sft.micro_batch: 1`; or set `media.max_frames: 8`"
    assert warned[0].hint == words
    assert {p.code for p in memory_problems(asked, site, "site") if p.loc == ("sft",)} == set()


def test_a_pod_gets_its_part_of_the_disk_and_the_cores():
    """A checkpoint of a fully trained 7B model has 102 GiB, an adapter's 2 GiB; the teacher's weights have 59."""
    assert checkpoint_bytes(OMNI, None) / GIB == pytest.approx(102, abs=1)
    site = cluster(a800=8)
    pool = site.pools["a800"].model_copy(update={"ephemeral_storage": "400Gi", "cpu": "24"})
    small = site.model_copy(update={"pools": {"a800": pool}})
    found = list(pod_problems(experiment(), small, "site"))
    assert [(p.code, p.loc, p.severity) for p in found if p.code == "C2F438"] == [
        ("C2F438", ("grpo",), "error")
    ]
    assert (
        "needs about 220 GiB of disk, and 4 of 8 GPUs of pool `a800` in `site` come with 200"
        in found[2].message
    )
    assert {p.loc[0] for p in found if p.code == "C2F439"} == {"teacher", "sft", "grpo", "evaluate"}
    assert "has 3.0 cores a GPU" in found[0].message
    assert list(pod_problems(experiment(), site, "site")) == []
    assert [amount(q) for q in ("500m", "8", "80Gi", "1.5k")] == [0.5, 8, 80 * GIB, 1500]


def test_this_machine_without_gpus_costs_none():
    e = experiment()
    assert list(memory_problems(e, HERE_ENVIRONMENT, "here")) == []
    site = site_of("sft", Placement(), HERE_ENVIRONMENT)
    assert estimated(load_of(e, "sft", "", site)) == GpuHours(0, 0, "none")
    four = HERE_ENVIRONMENT.model_copy(update={"gpus": 4})
    assert isinstance(site_of("sft", Placement(), four), Site)
    assert [site_of(kind, Placement(), four).gpus for kind in ("sft", "evaluate")] == [4, 1]


def test_a_plan_has_a_price_where_its_pools_have(paper):
    assert " at " not in describe_cost(paper)[0]
    pools = dict(paper.environment.pools)
    priced = pools["a800"].model_copy(update={"coefficients": Coefficients(price=12)})
    site = paper.environment.model_copy(update={"pools": {**pools, "a800": priced}})
    found = describe_cost(replace(paper, environment=site))[0]
    assert found == "18-83 GPU-hours to run, estimated at 215-1,002"


# ---- what sharing saves


def test_the_paper_costs_what_the_method_reckons(paper):
    """METHOD 8.5: about 45 GPU-hours, to be trusted within a factor of 3."""
    nominal = sum(each.nominal for each in stage_loads(paper).values())
    assert 45 / 1.5 < nominal < 45 * 1.5
    hours = total(s.gpu_hours for s in paper.stages)
    assert hours.low < 45 < hours.high


def test_sharing_saves_two_thirds_of_the_paper(paper):
    """Against each cell of the plan alone, and against each row of the paper's tables alone."""
    found = totals(paper)
    assert found["saved"] >= LEAST
    assert describe_cost(paper) == [
        "18-83 GPU-hours to run, estimated", "sharing saves 69% of the 57-278 that each result alone takes"
    ]  # fmt: skip
    assert len(rows_alone(paper)) == 23
    cells = total(hours for _, hours in cells_alone(paper))
    assert saved_share(total(s.gpu_hours for s in paper.stages), cells) >= LEAST
