"""Clips for a teacher to write about, attempts at the stage, and a fake teacher's answers: for tests and benchmarks."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path

from c2f_spec.spec.endpoint import Client
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.handoff import Endpoint, Placement, StageFile
from c2f_spec.spec.sections import C2f
from c2f_spec.store.open import open_store
from runtime.media.speaker import render
from runtime.process.context import Context
from runtime.stages import distil
from runtime.text.chains import canonical_answer
from runtime.text.clips import Clip, write_manifest

MEDIA = {"fps": 2.0, "max_frames": 4, "max_pixels": 3136}
KEY = "5" * 64
TEACHER = {"kind": "openai", "model": "fake-2026", "temperature": 0.7}
CHAIN = "1. words\n2. face\n3. voice\n4. all of them together say the same thing about this clip"


def prepared(folder, clips=10, lacks=()):
    """Clips that differ in what is said; all show the same face."""
    (folder / "clips").mkdir(parents=True)
    render(folder / "clips" / "one.mp4", 2.0, seed=1, clip="one")
    made = [
        Clip(f"clip-{n:04d}", "toy", "train", f"I said number {n}", LABELS[n % 3], POLARITIES[n % 3], "clips/one.mp4", 2.0, "0" * 64, lacks)
        for n in range(clips)
    ]  # fmt: skip
    write_manifest(folder, made)
    facts = {"name": "toy", "language": "en", "low": -3.0, "high": 3.0, "family": "mosi", "rendered": True}
    (folder / "dataset.json").write_text(json.dumps({**facts, "splits": {"train": clips}}))
    return folder


LABELS = (-1.4, 0.0, 2.2)


def words_of(body):
    """What the clip of a request says, and its number."""
    text = next(
        p["text"] for p in body["messages"][-1]["content"] if p["type"] == "text" and "number" in p["text"]
    )
    return int(text.split("I said number ")[1].split(")")[0])


def canonical(body):
    """A chain in the format that follows from the request, and from its seed."""
    n = words_of(body)
    drawn = hashlib.sha256(f"{body['seed']} {n}".encode()).hexdigest()[:8]
    return canonical_answer(C2f(), POLARITIES[n % 3], f"{CHAIN} {drawn}", LABELS[n % 3])


def context(
    root, folder, url=None, *, shards=1, store=None, attempt="a", key=KEY, variable=None, client=(), **spec
):
    """An attempt at the stage, in a folder of its own for outputs."""
    out = root / f"out-{len(list(root.glob('out-*')))}"
    out.mkdir(parents=True)
    sections = {"teacher": TEACHER, "format": {"kind": "c2f"}, "media": MEDIA} | spec
    sections["teacher"] = {**TEACHER, **sections["teacher"]}
    how = Client(**{"timeout": 30.0, "concurrency": 4, **dict(client)})
    store = str(store or root / "store")
    stage = StageFile(
        kind="distil", key=key, name="distil", preimage={"spec": sections},
        placement=Placement(shards=shards, endpoint=Endpoint(url=url, client=how, variable=variable)),
        store=store, scratch=str(root),
    )  # fmt: skip
    return Context(stage, {"prepare": folder}, out, open_store(store), attempt=attempt)


@contextmanager
def as_shard(number):
    before = os.environ.get("JOB_COMPLETION_INDEX")
    os.environ["JOB_COMPLETION_INDEX"] = str(number)
    try:
        yield
    finally:
        if before is None:
            del os.environ["JOB_COMPLETION_INDEX"]
        else:
            os.environ["JOB_COMPLETION_INDEX"] = before


def run(ctx):
    """Summary and outputs of an attempt: rows by the name of the file."""
    summary = distil.run(ctx)
    return summary, {path.stem: rows(path) for path in sorted(ctx.out.glob("*.jsonl"))}


def rows(path: Path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


SAME = ("chains.jsonl", "failed.jsonl", "replies.jsonl")
"""Outputs that hang on nothing but the key; how long a reply took is in another."""


def outputs(ctx):
    """Bytes of the outputs that must be the same in every run."""
    return {name: (ctx.out / name).read_bytes() for name in SAME}
