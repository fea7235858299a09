"""A small store with every kind of stage, written as the runtime would write it, and the plan that it belongs to."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from c2f_spec.keys import content_key
from c2f_spec.plan.model import Plan, Stage, Variant
from c2f_spec.spec.base import identity
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.spec.experiment import Experiment
from c2f_spec.spec.handoff import Placement, Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder, seal, unseal
from c2f_spec.store.open import open_store
from c2f_spec.store.protocol import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script> | [x](javascript:alert(1)) ![i](http://evil.example/x.png) @everyone `x` </style>\u202e"
SOURCE = """\
c2f: v1
name: demo
data: {train: icwsm2014-movie}
student: tiny
teacher: {kind: lexicon}
filters: {polarity_match: {}, length: null}
sft: {epochs: 1}
grpo: {steps: 20}
evaluate:
  checkpoints: [base, sft, grpo]
  datasets: [icwsm2014-nyt, icwsm2014-movie]
  baseline: ridge
"""
SPEC = {
    "c2f": "v1",
    "name": "demo",
    "description": "Every stage once.",
    "data": {"train": "icwsm2014-movie"},
    "student": {"kind": "tiny"},
    "teacher": {"kind": "lexicon"},
    "filters": {"polarity_match": {}, "score_tolerance": {}},
    "sft": {"epochs": 1},
    "grpo": {"steps": 20},
    "evaluate": {
        "checkpoints": ["base", "sft", "grpo"],
        "datasets": ["icwsm2014-nyt", "icwsm2014-movie"],
        "baseline": "ridge",
        "bootstrap": {"resamples": 200},
    },
}
SKILL = {"base": 0.0, "sft": 0.55, "grpo": 0.75, "pandagpt": 0.6}
CLIPS = 60


@dataclass
class Store:
    objects: ObjectStore
    plan: Plan
    scratch: Path

    def write(self, stage: Stage, files: dict[str, str | bytes], **summary: object) -> Record:
        """Commit `files` as the output of `stage`."""
        folder = self.scratch / stage.key
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        record = Record(
            kind=stage.kind,
            key=stage.key,
            attempt="a1",
            nonce="n",
            files=digest_folder(folder),
            summary=summary,
            provenance={
                "started": "2026-01-02T03:04:05+00:00",
                "seconds": {"start": 0.5, "work": 1.0 + len(stage.label)},
            },
        )
        return records.commit(self.objects, record, folder)

    def amend(self, stage: Stage, **provenance: object) -> None:
        """Rewrite the record of a stage with further provenance."""
        path = self.objects.local(records.record_name(stage.kind, stage.key))
        record = unseal(path.read_bytes())
        path.write_bytes(seal({**record, "provenance": {**record["provenance"], **provenance}}))

    def stage(self, label: str) -> Stage:
        return next(s for s in self.plan.stages if s.label == label)


def experiment(**changes: object) -> Experiment:
    return Experiment.model_validate({**SPEC, **changes})


def plan(*experiments: Experiment, sources: tuple[str, ...] = ()) -> Plan:
    """Like the compiler's, with keys that do not depend on the runtime's code."""
    stages: dict[str, Stage] = {}
    variants = []
    for i, e in enumerate(experiments or (experiment(),)):
        own = _stages(e)
        for stage in own:
            known = stages.get(stage.key, stage)
            stages[stage.key] = replace(known, variants=(*known.variants, e.name))
        source = sources[i] if sources else SOURCE.replace("demo", e.name)
        variants.append(Variant(e.name, source, tuple(s.key for s in own), parsed=e))
    place = LocalEnvironment(c2f="v1", kind="local", store=".c2f/store", demo=True)
    return Plan(variants[0].name, place, "local", tuple(variants), tuple(stages.values()))


def _stages(e: Experiment) -> list[Stage]:
    made: list[Stage] = []

    def add(kind: str, label: str, spec: dict[str, object], inputs: dict[str, str]) -> str:
        preimage = {"stage": kind, "spec": spec, "inputs": inputs}
        stage = Stage(content_key(preimage), kind, inputs, preimage, label, Placement())
        made.append(stage)
        return stage.key

    assert e.evaluate
    assert e.sft
    assert e.grpo
    names = dict.fromkeys((e.data.train, *e.evaluate.datasets))
    prepared = {n: add("prepare", f"prepare {n}", {"dataset": n}, {}) for n in names}
    train = {"prepare": prepared[e.data.train]}
    models = {}
    if e.teacher:
        distilled = add("distil", "distil chains of thought", {}, train)
        kept = add("filter", "filter the chains", {}, {**train, "distil": distilled})
        own = [{"seed": e.seed, **identity(section)} for section in (e.sft, e.grpo)]
        models["sft"] = add("sft", "supervised fine-tuning", own[0], {**train, "filter": kept})
        models["grpo"] = add(
            "grpo", "reinforcement learning (GRPO)", own[1], {**train, "start": models["sft"]}
        )
    for checkpoint in e.evaluate.checkpoints:
        for name in e.evaluate.datasets:
            inputs = {
                "prepare": prepared[name],
                **({"model": models[checkpoint]} if checkpoint in models else {}),
            }
            spec = {"checkpoint": checkpoint, "dataset": name}
            add("evaluate", f"evaluate {checkpoint} on {name}", spec, inputs)
    for one in e.evaluate.imported:
        spec = {"checkpoint": one.name, "dataset": one.dataset}
        add("evaluate", f"evaluate {one.name} on {one.dataset}", spec, {"prepare": prepared[one.dataset]})
    if e.evaluate.baseline != "none":
        tests = {f"test/{n}": prepared[n] for n in e.evaluate.datasets}
        add("baseline", "ridge baselines", {"baseline": "ridge"}, {"train": prepared[e.data.train], **tests})
    return made


def filled(folder: Path, *experiments: Experiment, skip: tuple[str, ...] = ()) -> Store:
    """A store in which every stage is done but those whose label is in `skip`."""
    store = Store(open_store(str(folder / "store")), plan(*experiments), folder / "scratch")
    for stage in store.plan.stages:
        if stage.label not in skip:
            _fill(store, stage)
    return store


def unfilled(folder: Path) -> Store:
    """Return a store in which nothing of the plan is done."""
    return Store(open_store(str(folder / "store")), plan(), folder / "scratch")


def _fill(store: Store, stage: Stage) -> None:
    spec = stage.preimage["spec"]
    if stage.kind == "prepare":
        _prepare(store, stage, spec["dataset"])
    elif stage.kind == "distil":
        store.write(stage, {"chains.jsonl": _lines(_chains())}, chains=30)
    elif stage.kind == "filter":
        _filter(store, stage)
    elif stage.kind == "sft":
        rows = [{"step": i, "loss": 4 * math.exp(-i / 12) + 0.6, "learning_rate": 1e-3} for i in range(1, 41)]
        store.write(stage, {"metrics.jsonl": _lines(rows)}, steps=40, loss=0.7428)
    elif stage.kind == "grpo":
        store.write(stage, {"metrics.jsonl": _lines(_grpo()), "rollouts.jsonl": ""}, steps=20)
    elif stage.kind == "evaluate":
        rows = _predictions(spec["checkpoint"], spec["dataset"])
        store.write(stage, {"predictions.jsonl": _lines(rows)}, clips=len(rows))
    elif stage.kind == "baseline":
        names = [role.removeprefix("test/") for role in stage.inputs if role.startswith("test/")]
        store.write(stage, {"predictions.jsonl": _lines(r for n in names for r in _baseline(n))})


def _lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _truth(dataset: str) -> list[tuple[str, float, str]]:
    draw = random.Random(f"labels of {dataset}")
    labels = [round(draw.uniform(-3.9, 3.9), 1) for _ in range(CLIPS)]
    return [
        (f"test-{i}", v, "negative" if v < 0 else "positive" if v > 0 else "neutral")
        for i, v in enumerate(labels)
    ]


def _prepare(store: Store, stage: Stage, dataset: str) -> None:
    manifest = [
        {
            "id": i,
            "dataset": dataset,
            "split": "test",
            "text": f"Sentence {i} of {dataset}.",
            "label": v,
            "polarity": p,
        }
        for i, v, p in _truth(dataset)
    ]
    manifest += [
        {
            "id": f"train-{i}",
            "dataset": dataset,
            "split": "train",
            "text": HOSTILE if i == 0 else f"Train {i}.",
        }
        | {"label": (i % 3) - 1.0, "polarity": ("negative", "neutral", "positive")[i % 3]}
        for i in range(30)
    ]
    for row in manifest:
        row["media"] = f"clips/{row['id']}.mp4"
    shown = ("train-0", "train-1", "train-2", "train-27", "test-0", "test-1")
    facts = {
        "name": dataset,
        "rendered": dataset.startswith("icwsm"),
        "splits": {"train": 30, "test": CLIPS},
        "note": "drawn",
    }
    files: dict[str, str | bytes] = {f"clips/{i}.mp4": b"not a video" for i in shown}
    files |= {"manifest.jsonl": _lines(manifest), "dataset.json": json.dumps(facts)}
    if dataset == "icwsm2014-movie":
        files["clips/train-0.mp4"] = _video(store.scratch / "video.mp4")
    store.write(stage, files, clips=90, splits={"train": 30, "test": CLIPS})


def _video(path: Path) -> bytes:
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        pixels = np.full((64, 64, 3), (200, 120, 40), dtype=np.uint8)
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")), *stream.encode()):
            container.mux(packet)
    return path.read_bytes()


def _chains() -> list[dict[str, object]]:
    words = ("Negative", "Neutral", "Positive")
    body = "<think>\n1. Dialogue Content Clues Analysis: {0}\n</think>\n\n<score>{1}</score>"
    return [
        {
            "id": f"train-{i}",
            "text": f"<polarity>{words[i % 3]}</polarity>\n\n"
            + body.format("```" if i == 0 else "plain", i % 3 - 1),
        }
        for i in range(30)
    ]


def _filter(store: Store, stage: Stage) -> None:
    chains = _chains()
    reasons = [
        ("polarity_match", "positive, label says negative"),
        ("score_tolerance", "1.9 from the label, at most 1.6"),
    ]
    dropped = [{**c, "filter": f, "reason": r} for c, (f, r) in zip(chains[24:], reasons * 3, strict=True)]
    polarity = {
        "negative": {"in": 10, "kept": 8, "dropped": {"polarity_match": 1, "score_tolerance": 1}},
        "neutral": {"in": 10, "kept": 8, "dropped": {"polarity_match": 2}},
        "positive": {"in": 10, "kept": 8, "dropped": {"score_tolerance": 2}},
    }
    funnel = {
        "in": 30,
        "kept": 24,
        "dropped": {"polarity_match": 3, "score_tolerance": 3},
        "by_polarity": polarity,
    }
    files = {
        "chains.jsonl": _lines(chains[:24]),
        "dropped.jsonl": _lines(dropped),
        "funnel.json": json.dumps(funnel),
    }
    store.write(stage, files, kept=24)


def _grpo() -> list[dict[str, object]]:
    draw = random.Random("grpo")
    rows = []
    for i in range(1, 21):
        hinted = i % 3 != 0
        rows.append(
            {
                "step": i,
                "reward": 1.5 + i / 30,
                "reward/unhinted": 1.3 + i / 25 + draw.gauss(0, 0.1),
                "kl": i / 4000,
            }
            | {
                "reward/format": min(1, 0.8 + i / 80),
                "reward/polarity": 0.5 + i / 60,
                "reward/score": 0.4 + i / 70,
            }
            | {"hint/groups": (0.4 - i / 80 if hinted else 0), "hard/groups": (0.4 - i / 80 if hinted else 0)}
            | ({"reward/hinted": 2.2 + i / 60} if hinted else {})
        )
    return rows


def _predictions(checkpoint: str, dataset: str) -> list[dict[str, object]]:
    draw = random.Random(f"{checkpoint} on {dataset}")
    rows = []
    for i, (name, label, polarity) in enumerate(_truth(dataset)):
        skill = SKILL[checkpoint] * (1 if dataset == "icwsm2014-movie" else 0.6)
        score = round(max(-4, min(4, skill * label + draw.gauss(0, 1.5))), 1)
        tag = "negative" if score < 0 else "positive"
        broken = checkpoint == "base" and i % 4 == 0
        output = (
            "no idea"
            if broken
            else f"<polarity>{tag}</polarity>\n\n<think>\nso\n</think>\n\n<score>{score}</score>"
        )
        rows.append(
            {
                "id": name,
                "label": label,
                "true": polarity,
                "output": output,
                "polarity": None if broken else tag,
            }
            | {"score": None if broken else score, "well_formed": not broken}
        )
    return rows


def _baseline(dataset: str) -> list[dict[str, object]]:
    draw = random.Random(f"ridge on {dataset}")
    noise = {"text": 2.0, "voice": 3.0, "face": 1.5, "all": 1.0}
    return [
        {"dataset": dataset, "id": i, "label": v, **{f: v / 2 + draw.gauss(0, s) for f, s in noise.items()}}
        for i, v, _ in _truth(dataset)
    ]
