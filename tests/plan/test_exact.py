"""Exactness: an edit of a shipped spec runs again the stages that it must, not one too many and not one too few.

Each line is an edit of text, as an author makes it, and the stages that are then other ones than before, written by
hand from what the stages read (DESIGN: "Stages, keys, plan"). A stage is written `sft`, `prepare@nyt`, `evaluate.grpo@nyt`;
of a sweep `variant/stage`; `*` stands for any part. tests/plan/test_plan.py mutates every field besides.
"""

import fnmatch
import shutil
from pathlib import Path

import pytest

from c2f_spec.plan.compile import load_variants
from c2f_spec.plan.keys import ExperimentSource, build_plan
from tests.plan.test_plan import HERE_ENVIRONMENT, PINS

SPECS = Path(__file__).parents[2] / "specs"
NOTHING = ""
TRAINED = "evaluate.sft@* evaluate.grpo@*"
FROM_SFT = f"sft grpo {TRAINED}"
FROM_FILTER = f"filter {FROM_SFT}"
FROM_DISTIL = f"distil {FROM_FILTER}"
FROM_GRPO = "grpo evaluate.grpo@*"
EVERYTHING = "*"


def line(old: str, new: str):
    """Replace a part of the text, which stands there once."""

    def edit(text: str) -> str:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        return text.replace(old, new)

    return edit


def also(new: str):
    return lambda text: f"{text}\n{new}\n"


def sections(order: str):
    """The sections in another order, each as it is written."""

    def edit(text: str) -> str:
        parts: dict[str, list[str]] = {}
        name = ""
        for row in text.splitlines():
            if row[:1].isalpha():
                name = row.partition(":")[0]
            parts.setdefault(name, []).append(row)
        names = [*order.split(), *(n for n in parts if n not in order.split())]
        return "\n".join("\n".join(parts[n]) for n in names) + "\n"

    return edit


DEMO = [
    # ---- nothing that a stage reads
    ("a comment", also("# nobody's business"), NOTHING),
    ("a comment at a value", line("beta: 0.1", "beta: 0.1 # as in the paper"), NOTHING),
    ("sections in another order", sections("seed evaluate grpo c2f name sft filters teacher"), NOTHING),
    ("fields in another order", line("steps: 20\n  batch: 32", "batch: 32\n  steps: 20"), NOTHING),
    ("a filter that is on anyway", line("filters: {length: null}", "filters: {polarity_match: {}, length: null}"), NOTHING),
    ("rewards in another order", line("{format: {weight: 1}, polarity: {weight: 1}, score: {weight: 1, gate: tag}}", "{score: {gate: tag, weight: 1}, polarity: {weight: 1}, format: {weight: 1}}"), NOTHING),
    ("blocks instead of braces", line("student: {kind: tiny, hidden: 64, layers: 2}", "student:\n  kind: tiny\n  hidden: 64\n  layers: 2"), NOTHING),
    ("a number written otherwise", line("learning_rate: 3e-3", "learning_rate: 0.0030"), NOTHING),
    ("a default made explicit", line("sft: {epochs: 4", "sft: {warmup: 0.05, epochs: 4"), NOTHING),
    ("a section of defaults made explicit", line("format: c2f #", "format: {kind: c2f} #"), NOTHING),
    ("a default left out", line("  beta: 0.1\n", ""), NOTHING),
    ("a filter's default left out", line("filters: {length: null}", "filters: {length: null, score_tolerance: {}}"), NOTHING),
    ("a reward's default left out", line("score: {weight: 1, gate: tag}", "score: {}"), NOTHING),
    ("the default seed left out", line("seed: 42\n", ""), NOTHING),
    ("auto as the number that it is", line("threshold: auto", "threshold: 2"), NOTHING),
    ("a hint's defaults left out", line("{hard_policy: hint, trigger: {kind: all_below, threshold: auto}, group: {kind: replace_all}}", "{}"), NOTHING),
    ("another name", line("name: demo", "name: show"), NOTHING),
    ("a description", also("description: for visitors"), NOTHING),
    ("another environment", line("environment: local", "environment: a800"), NOTHING),
    ("a table of the paper", also("hypothesis: {metric: MAE, direction: lower, min_effect: 0.1, baseline: none}"), NOTHING),
    ("resources", also("resources: {sft: {micro_batch: 4}}"), NOTHING),
    ("checkpoints", also("checkpoints: {every: 7}"), NOTHING),
    # ---- data
    ("fewer training clips", line("train: 1600", "train: 1500"), f"prepare@movie {FROM_DISTIL} evaluate.base@movie baseline"),
    ("fewer validation clips", line("valid: 100", "valid: 90"), f"prepare@movie {FROM_DISTIL} evaluate.base@movie baseline"),
    ("fewer test clips", line("test: 300", "test: 200"), EVERYTHING),
    ("another drawing", line("render_seed: 3", "render_seed: 4"), EVERYTHING),
    # ---- what the models see
    ("more frames", line("max_frames: 4", "max_frames: 5"), f"{FROM_DISTIL} evaluate.base@* baseline"),
    ("more pixels", line("max_pixels: 3136", "max_pixels: 6272"), f"{FROM_DISTIL} evaluate.base@* baseline"),
    ("another language of the prompts", line("format: c2f #", "format: {kind: c2f, language: zh} #"), f"{FROM_DISTIL} evaluate.base@*"),
    ("a wider student", line("hidden: 64", "hidden: 96"), f"{FROM_SFT} evaluate.base@*"),
    ("a deeper student", line("layers: 2", "layers: 3"), f"{FROM_SFT} evaluate.base@*"),
    # ---- chains
    ("a stricter filter", line("filters: {length: null}", "filters: {length: null, score_tolerance: {max_fraction: 0.1}}"), FROM_FILTER),
    ("one more filter", line("filters: {length: null}", "filters: {length: null, dedup: {}}"), FROM_FILTER),
    ("one filter less", line("filters: {length: null}", "filters: {length: null, repetition: null}"), FROM_FILTER),
    ("fewer chains are enough", line("filters: {length: null}", "filters: {length: null, min_keep_fraction: 0.01}"), FROM_FILTER),
    # ---- fine-tuning
    ("more epochs", line("sft: {epochs: 4", "sft: {epochs: 5"), FROM_SFT),
    ("another batch", line("epochs: 4, batch: 16", "epochs: 4, batch: 8"), FROM_SFT),
    ("another learning rate", line("3e-3", "2e-3"), FROM_SFT),
    ("a warm-up", line("sft: {epochs: 4", "sft: {warmup: 0.1, epochs: 4"), FROM_SFT),
    # ---- reinforcement learning
    ("another beta", line("beta: 0.1", "beta: 0.2"), FROM_GRPO),
    ("more steps", line("steps: 20", "steps: 21"), FROM_GRPO),
    ("more answers", line("generations: 4", "generations: 8"), FROM_GRPO),
    ("a larger batch", line("batch: 32", "batch: 64"), FROM_GRPO),
    ("another learning rate of GRPO", line("1.5e-4", "1e-4"), FROM_GRPO),
    ("another warm-up of GRPO", line("warmup: 0.2", "warmup: 0.1"), FROM_GRPO),
    ("another temperature", line("temperature: 0.7", "temperature: 0.8"), FROM_GRPO),
    ("longer answers in training", line("max_new_tokens: 160\n", "max_new_tokens: 170\n"), FROM_GRPO),
    ("another gate", line("gate: tag", "gate: sign"), FROM_GRPO),
    ("another weight, and so another threshold", line("polarity: {weight: 1}", "polarity: {weight: 2}"), FROM_GRPO),
    ("one reward less", line(", score: {weight: 1, gate: tag}", ""), FROM_GRPO),
    ("no hints", line("hard_policy: hint", "hard_policy: keep"), FROM_GRPO),
    ("no hard samples", line("hard_policy: hint", "hard_policy: drop"), FROM_GRPO),
    ("another threshold", line("threshold: auto", "threshold: 1.5"), FROM_GRPO),
    # ---- evaluation
    ("longer answers in evaluation", line("decoding: {max_new_tokens: 160}", "decoding: {max_new_tokens: 150}"), "evaluate.*"),
    ("answers are sampled", line("decoding: {max_new_tokens: 160}", "decoding: {max_new_tokens: 160, temperature: 0.7}"), "evaluate.*"),
    ("another space of scores", line("  baseline: ridge", "  baseline: ridge\n  score_space: rescale_from_train"), "evaluate.*"),
    ("one model less", line("[base, sft, grpo]", "[sft, grpo]"), NOTHING),
    ("models in another order", line("[base, sft, grpo]", "[grpo, base, sft]"), NOTHING),
    ("one set less", line(", icwsm2014-tweets]", "]"), "baseline"),
    ("sets in another order", line("icwsm2014-amazon, icwsm2014-nyt", "icwsm2014-nyt, icwsm2014-amazon"), NOTHING),
    ("no baselines", line("  baseline: ridge\n", ""), NOTHING),
    # ---- the pipeline
    ("another seed", line("seed: 42", "seed: 43"), f"{FROM_SFT} evaluate.base@*"),
    ("no reinforcement learning", lambda t: line("[base, sft, grpo]", "[base, sft]")(t[: t.index("grpo:")] + t[t.index("evaluate:") :]), NOTHING),
    ("no fine-tuning", lambda t: line("[base, sft, grpo]", "[base, grpo]")(line("sft: {epochs: 4, batch: 16, learning_rate: 3e-3}\n", "")(t)), FROM_GRPO),
    ("two edits are the sum of both", lambda t: line("filters: {length: null}", "filters: {length: null, score_tolerance: {max_fraction: 0.1}}")(line("max_new_tokens: 160}", "max_new_tokens: 150}")(t)), f"{FROM_FILTER} evaluate.base@*"),
]  # fmt: skip

QWEN = [
    ("another revision of the teacher", line("26291f793822fb6be9555850f06dfe95f2d7e695", "1" * 40), FROM_DISTIL),
    ("another revision of the student", line("ae9e1690543ffd5c0221dc27f79834d0294cba00", "1" * 40), FROM_FILTER),
    ("more samples of the teacher", line("samples: 1", "samples: 2"), FROM_DISTIL),
    ("another rank of SFT", line("sft: {epochs: 3, learning_rate: 1e-5, tuner: {kind: lora, rank: 64}}", "sft: {epochs: 3, learning_rate: 1e-5, tuner: {kind: lora, rank: 32}}"), FROM_SFT),
    ("SFT of all weights", line("sft: {epochs: 3, learning_rate: 1e-5, tuner: {kind: lora, rank: 64}}", "sft: {epochs: 3, learning_rate: 1e-5, tuner: full}"), FROM_SFT),
    ("more answers", line("generations: 4", "generations: 6"), FROM_GRPO),
    ("trained on another set", line("data: {train: ch-sims}", "data: {train: cmu-mosi}"), FROM_DISTIL),
    ("the GPUs of a stage", also("resources: {grpo: {gpus: 8}}"), NOTHING),
    ("another seed", line("seed: 42", "seed: 43"), FROM_SFT),
    ("one set more", line("cmu-mosi, cmu-mosei]", "cmu-mosi, cmu-mosei, icwsm2014-nyt]"), "*@nyt"),
]  # fmt: skip

SWEEPS = [
    ("table_vi", "a seed more", line("[42, 43, 44]", "[42, 43, 44, 45]"), "*-s45/sft *-s45/grpo *-s45/evaluate.*"),
    ("table_vi", "a seed less", line("[42, 43, 44]", "[42, 43]"), NOTHING),
    ("table_vi", "a policy more", line("[hint, keep]", "[hint, keep, drop]"), "*drop*/grpo *drop*/evaluate.grpo@*"),
    ("table_vi", "another expectation", line("min_effect: 0.01", "min_effect: 0.02"), NOTHING),
    ("ablations", "one factor less", line("      - drop #", "      # drop"), NOTHING),
    ("ablations", "another name of a variant", line("sft-only:", "chains-only:"), NOTHING),
    ("ablations", "one more set", line("{datasets: [ch-sims]}", "{datasets: [ch-sims, cmu-mosi]}"), "*/prepare@cmu-mosi */evaluate.*@cmu-mosi"),
    ("both_sets", "a parameter", line("with: {policy: hint}", "with: {policy: keep}"), "*/grpo */evaluate.grpo@*"),
    ("both_sets", "a parameter at its default", line("with: {policy: hint}", "with: {policy: hint, beta: 0.1}"), NOTHING),
    ("both_sets", "one set less", line("[ch-sims, cmu-mosi]", "[cmu-mosi]"), NOTHING),
    ("sensitivity", "a value of an ablation", line("threshold: [1.5]", "threshold: [1.25]"), "*-thre-1p25/grpo *-thre-1p25/evaluate.grpo@*"),
    ("paper", "a variant's field", line("grpo.hint.hard_policy: drop", "grpo.hint.hard_policy: drop\n      grpo.beta: 0.2"), "*no-hard/grpo *no-hard/evaluate.grpo@*"),
    ("paper", "variants in another order", line("    sims: {} # Tables III and IV\n    mosi: # Tables I and II\n      data.train: cmu-mosi\n      tables: [I, II]\n", "    mosi: # Tables I and II\n      data.train: cmu-mosi\n      tables: [I, II]\n    sims: {} # Tables III and IV\n"), NOTHING),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    shutil.copytree(SPECS, tmp_path / "specs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "specs"


def plan_of(spec: Path):
    sources = [
        ExperimentSource(item.experiment, item.source, str(spec), PINS) for item in load_variants(spec)
    ]
    return build_plan(sources, PINS, HERE_ENVIRONMENT, "here")


def token(stage) -> str:
    if stage.kind == "prepare":
        return f"prepare@{short(stage.preimage['spec']['dataset'])}"
    if stage.kind == "evaluate":
        spec = stage.preimage["spec"]
        return f"evaluate.{spec['checkpoint']}@{short(spec['dataset'])}"
    return stage.kind


def short(dataset: str) -> str:
    return dataset.removeprefix("icwsm2014-")


def tokens_of(plan) -> dict[str, str]:
    """Token → key."""
    one = len(plan.variants) == 1
    return {
        token(s) if one else f"{v.name}/{token(s)}": s.key
        for v in plan.variants
        for s in map(plan.stage, v.stages)
    }


def check(spec: Path, edit, expected: str) -> None:
    before = {s.key for s in plan_of(spec).stages}
    text = spec.read_text()
    changed = edit(text)
    assert changed != text
    spec.write_text(changed)
    after = tokens_of(plan_of(spec))
    rerun = {name for name, key in after.items() if key not in before}
    must = {name for pattern in expected.split() for name in matched(pattern, after)}
    assert rerun == must, f"too many: {sorted(rerun - must)}; too few: {sorted(must - rerun)}"


def matched(pattern: str, tokens) -> list[str]:
    found = fnmatch.filter(tokens, pattern)
    assert found, f"no stage {pattern}"
    return found


@pytest.mark.parametrize(("what", "edit", "expected"), DEMO, ids=[d[0] for d in DEMO])
def test_an_edit_of_the_demo(folder, what, edit, expected):
    check(folder / "demo.yaml", edit, expected)


@pytest.mark.parametrize(("what", "edit", "expected"), QWEN, ids=[q[0] for q in QWEN])
def test_an_edit_of_the_papers_spec(folder, what, edit, expected):
    check(folder / "sims_hint.yaml", edit, expected)


@pytest.mark.parametrize(
    ("spec", "what", "edit", "expected"), SWEEPS, ids=[f"{s[0]}, {s[1]}" for s in SWEEPS]
)
def test_an_edit_of_a_sweep(folder, spec, what, edit, expected):
    check(folder / f"{spec}.yaml", edit, expected)


def test_an_edit_of_a_base_reaches_the_variants_that_do_not_set_it(folder):
    specs = [folder / f"{name}.yaml" for name in ("ablations", "table_vi", "paper")]
    before = {s.key for spec in specs for s in plan_of(spec).stages}
    base = folder / "sims_hint.yaml"
    base.write_text(line("beta: 0.1", "beta: 0.3")(base.read_text()))
    for spec in specs:
        after = tokens_of(plan_of(spec))
        rerun = {name for name, key in after.items() if key not in before}
        assert rerun == set(matched("*/grpo", after)) | set(matched("*/evaluate.grpo@*", after))


def test_moving_a_field_to_the_base_changes_nothing(folder):
    spec = folder / "table_vi.yaml"
    before = {s.key for s in plan_of(spec).stages}
    (folder / "mine.yaml").write_text(
        "extends: sims_hint.yaml\nname: mine\nevaluate: {datasets: [ch-sims]}\n"
    )
    text = line("extends: sims_hint.yaml", "extends: mine.yaml")(spec.read_text())
    spec.write_text(line("evaluate: {datasets: [ch-sims]}\n", "")(text))
    assert {s.key for s in plan_of(spec).stages} == before


def test_expanded_variants_are_the_same_stages(folder):
    from c2f_spec.cli.main import main

    before = {s.key for s in plan_of(folder / "paper.yaml").stages}
    main(["expand", "specs/paper.yaml", "--out-dir", "specs/paper"])
    written = [s.key for path in sorted((folder / "paper").glob("*.yaml")) for s in plan_of(path).stages]
    assert set(written) == before


def test_there_are_enough_edits():
    assert len(DEMO) + len(QWEN) + len(SWEEPS) >= 80
