"""A toy data set, a toy student and stages to run on them; each made once a session, none of it changed by a test."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import torch

from c2f_spec.spec.handoff import Placement, StageFile
from c2f_spec.spec.sections import C2f, Media, Tiny
from c2f_spec.store.digest import digest_file
from c2f_spec.store.open import open_store
from runtime.media.speaker import render
from runtime.models import MODELS
from runtime.models.rows import Reader
from runtime.process.context import Context
from runtime.text.chains import canonical_answer
from runtime.text.clips import Clip, polarity_of, write_jsonl, write_manifest

torch.set_num_threads(1)  # a student this small is slower on two cores, and much slower on two busy ones

ROOT = tempfile.TemporaryDirectory(prefix="omni-")
FMT = C2f()
MEDIA = Media(fps=2.0, max_frames=4, max_pixels=3136)
SPEC = Tiny(kind="tiny", hidden=32, layers=1)
RATINGS = (-3.1, 2.4, 0.0, 1.2, -0.4, 3.6, -1.9, 0.8)
TEXTS = ("a dull film", "wonderful and warm", "it runs for two hours", "not bad at all, I would say")

NOISE = (
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:.*joblib will operate in serial mode:UserWarning",
)
"""Of third-party libraries, during training."""


@functools.cache
def prepared() -> Path:
    """16 training and 5 test clips with media."""
    folder = Path(ROOT.name) / "prepared"
    (folder / "clips").mkdir(parents=True)
    clips = [clip(folder, i, "train" if i < 16 else "test") for i in range(21)]
    write_manifest(folder, clips)
    facts = {"name": "toy", "language": "en", "low": -4.0, "high": 4.0, "family": "mosi", "rendered": True}
    (folder / "dataset.json").write_text(json.dumps({**facts, "splits": {"train": 16, "test": 5}}))
    return folder


def clip(folder: Path, i: int, split: str) -> Clip:
    rating = RATINGS[i % len(RATINGS)]
    name = f"toy-{i:02}"
    path = folder / "clips" / f"{name}.mp4"
    render(path, rating, seed=1, clip=name)
    text, polarity = f"{TEXTS[i % len(TEXTS)]} {i}", polarity_of(rating, "mosi")
    digest = digest_file(path).blake3  # decoded clips are kept by it
    return Clip(name, "toy", split, text, rating, polarity, f"clips/{name}.mp4", 2.0, digest)


@functools.cache
def chains() -> Path:
    """A kept chain for each training clip."""
    folder = Path(ROOT.name) / "chains"
    folder.mkdir()
    clips = [c for c in reader().clips.values() if c.split == "train"]
    rows = (
        {"id": c.id, "text": canonical_answer(FMT, c.polarity, f"1. the words: {c.text}", c.label)}
        for c in clips
    )
    write_jsonl(folder / "chains.jsonl", rows)
    return folder


@functools.cache
def student():
    return MODELS["tiny"].base(SPEC, 0, None)


@functools.cache
def reader() -> Reader:
    return Reader(prepared(), student().processor, FMT, MEDIA)


def context(
    folder: Path, kind: str, inputs: dict[str, Path], *, placement=None, store=None, **spec
) -> Context:
    """An attempt at a stage; `spec` replaces sections."""
    sections = {
        "seed": 3,
        "student": {"kind": "tiny", "hidden": 32, "layers": 1},
        "format": {"kind": "c2f"},
        "media": MEDIA.model_dump(),
        "sft": {"steps": 2, "batch": 4, "learning_rate": 3e-3},
        "grpo": {"steps": 2, "batch": 2, "generations": 2, "learning_rate": 1e-3, "max_new_tokens": 12,
                 "hint": {"trigger": {"kind": "all_below", "threshold": 2.0}}},
        "evaluate": {"decoding": {"max_new_tokens": 8}, "score_space": "prompt_range"},
        "checkpoint": "base",
    }  # fmt: skip
    (folder / "out").mkdir(parents=True)
    stage = StageFile(
        kind=kind,
        key="0" * 64,
        name=kind,
        preimage={"spec": {**sections, **spec}},
        placement=placement or Placement(),
        store=str(store or folder / "store"),
        scratch=str(folder),
    )
    return Context(stage, inputs, folder / "out", open_store(str(store or folder / "store")))


def sft_context(folder: Path, **spec) -> Context:
    """Return an attempt at `sft` on the kept chains."""
    return context(folder, "sft", {"prepare": prepared(), "filter": chains()}, **spec)


def grpo_context(folder: Path, **spec) -> Context:
    """Return an attempt at `grpo` that starts from `tuned`."""
    return context(folder, "grpo", {"prepare": prepared(), "start": tuned()}, **spec)


@functools.cache
def tuned() -> Path:
    """The output folder of the stage `sft`."""
    from runtime.stages import sft

    ctx = sft_context(Path(ROOT.name) / "tuned")
    sft.run(ctx)
    return ctx.out


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@functools.cache
def skilled() -> Path:
    """The output of an `sft` long enough for answers to differ in their rewards, so that GRPO has something to learn."""
    from runtime.stages import sft

    folder = Path(ROOT.name) / "short"
    folder.mkdir()
    clips = [c for c in reader().clips.values() if c.split == "train"]
    write_jsonl(
        folder / "chains.jsonl",
        ({"id": c.id, "text": canonical_answer(FMT, c.polarity, "1. words", c.label)} for c in clips),
    )
    section = {"steps": 40, "batch": 8, "learning_rate": 1e-2}
    ctx = context(Path(ROOT.name) / "skilled", "sft", {"prepare": prepared(), "filter": folder}, sft=section)
    sft.run(ctx)
    return ctx.out
