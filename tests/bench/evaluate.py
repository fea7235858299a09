"""Clips a second of the evaluation stage on the tiny student, beside two plain loops that take turns with it.

`one by one`: a clip is decoded, `generate` of transformers answers it, then the next. `fixed order`: the same with as many
clips at once as the stage takes, in the order of the manifest. Both read clips as the stage does, but keep none on disk,
and the three must give the same answers. `kept`: the stage again, with the decoded clips that an earlier evaluation left.

Timed is all from the student's folder to the answers: every one of them loads the student and reads the manifest, and the
stage stores its units and writes its outputs besides. Of Python's start and its imports, seconds, nobody pays. Each has the
best of its turns: what else runs on the machine only takes away.

Two students: one whose answers end by themselves, some after ten times as many tokens as others, and one that was trained
too little for that, whose answers are all cut short: then no place is free before all are.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch

from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.handoff import StageFile
from c2f_spec.spec.sections import C2f, Media
from c2f_spec.store.open import open_store
from runtime.media.speaker import render
from runtime.models import MODELS
from runtime.models.batches import prompt_batch
from runtime.models.rows import Reader
from runtime.models.thinker import generation_config, load
from runtime.process.context import Context
from runtime.process.parallel import map_processes
from runtime.stages import evaluate, sft
from runtime.text.chains import canonical_answer
from runtime.text.clips import Clip, polarity_of, read_manifest, write_jsonl, write_manifest

CLIPS, TRAINED, ALONE, ROUNDS = 384, 64, 48, 3
"""Clips of the test split and of the training split; of those, how many one by one; and how often all take turns."""
STEPS = {"answers end": 160, "answers are cut short": 40}
"""Of training."""
MEDIA = Media(fps=2.0, max_frames=4, max_pixels=3136)
STUDENT = {"kind": "tiny", "hidden": 64, "layers": 2}
DECODING = {"max_new_tokens": 160}
WORDS = "a film of two hours that never bored me with its dull plot warm cast and sharp eye for small towns".split()  # noqa: SIM905


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        make_clips(Path(name) / "prepared")
        write_chains(Path(name))
        for what, steps in STEPS.items():
            model = trained(Path(name), steps)
            show(what, *measured(Path(name), model))


def measured(folder: Path, model: Path) -> tuple[dict[str, float], list[int]]:
    """Clips a second of each in the best of its turns, and tokens of the answers in order of their number."""
    found: dict[str, list[float]] = {"one by one": [], "fixed order": [], "stage": [], "kept": []}
    for _ in range(ROUNDS):
        store = Path(tempfile.mkdtemp(dir=folder))
        alone, few = plain(folder, model, 1)
        batched, many = plain(folder, model, MODELS["tiny"].rows_generated)
        ours, again = (staged(folder, model, store, name) for name in ("stage", "kept"))
        assert few == many[:ALONE], "answers hang on what they are answered with"
        assert many == ours[1] == again[1]
        for what, rate in zip(found, (alone, batched, ours[0], again[0]), strict=True):
            found[what].append(rate)
    tokenizer = load(model / "model").tokenizer
    tokens = sorted(len(tokenizer.encode(text)) for text in many)
    return {what: max(rates) for what, rates in found.items()}, tokens


def show(what: str, best: dict[str, float], tokens: list[int]) -> None:
    print(f"{what}: {tokens[0]} to {tokens[-1]} tokens, half of them at most {statistics.median(tokens):.0f}")
    for name, rate in best.items():
        print(f"  {name:<12} {rate:6.1f} clips a second")
    print(
        f"  the stage is {best['stage'] / best['one by one']:.1f} times as fast as one by one and "
        f"{best['stage'] / best['fixed order']:.2f} times as fast as in fixed order; with kept clips "
        f"{best['kept'] / best['fixed order']:.2f} times"
    )


def make_clips(folder: Path) -> None:
    """Clips whose words are of very different length."""
    (folder / "clips").mkdir(parents=True)
    draw = random.Random(1)
    numbers = range(CLIPS + TRAINED)
    ratings = [round(draw.uniform(-4, 4), 1) for _ in numbers]
    for _ in map_processes(Drawn(folder), list(enumerate(ratings))):
        pass
    clips = [
        Clip(f"c{n:04}", "icwsm2014-movie", "test" if n < CLIPS else "train",
             " ".join(draw.choices(WORDS, k=draw.randint(3, 60))), rating, polarity_of(rating, "mosi"),
             f"clips/c{n:04}.mp4", 2.0, f"{n:064x}")
        for n, rating in enumerate(ratings)
    ]  # fmt: skip
    write_manifest(folder, clips)
    facts = DATASETS["icwsm2014-movie"]
    known = {"name": facts.name, "language": "en", "low": facts.low, "high": facts.high, "family": "mosi"}
    (folder / "dataset.json").write_text(json.dumps(known | {"rendered": True, "splits": {"test": CLIPS}}))


class Drawn:
    """Draws a clip in another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: tuple[int, float]) -> None:
        number, rating = item
        render(self.folder / "clips" / f"c{number:04}.mp4", rating, seed=1, clip=str(number))


def write_chains(folder: Path) -> None:
    """Answers of different length, as the words of the clips are."""
    (folder / "chains").mkdir()
    clips = read_manifest(folder / "prepared", "train")
    rows = (
        {
            "id": clip.id,
            "text": canonical_answer(C2f(), clip.polarity, f"1. the words: {clip.text}", clip.label),
        }
        for clip in clips
    )
    write_jsonl(folder / "chains" / "chains.jsonl", rows)


def trained(folder: Path, steps: int) -> Path:
    section = {"steps": steps, "batch": 16, "learning_rate": 5e-3}
    ctx = context(folder, "sft", {"filter": folder / "chains"}, folder / f"store-{steps}", sft=section)
    sft.run(ctx)
    return ctx.out


def context(folder: Path, kind: str, inputs: dict[str, Path], store: Path, **spec: object) -> Context:
    out = Path(tempfile.mkdtemp(dir=folder))
    sections = {"seed": 1, "student": STUDENT, "format": {"kind": "c2f"}, "media": MEDIA.model_dump(), **spec}
    file = StageFile(kind=kind, key="0" * 64, name=kind, preimage={"spec": sections}, store=str(store), scratch=str(folder))  # fmt: skip
    return Context(file, {"prepare": folder / "prepared", **inputs}, out, open_store(str(store)))


def plain(folder: Path, model: Path, most: int) -> tuple[float, list[str]]:
    """Clips a second and answers of a loop over the manifest."""
    started = time.perf_counter()
    student = load(model / "model")
    student.model.eval()
    reader = Reader(folder / "prepared", student.processor, C2f(), MEDIA)
    settings = generation_config(student.tokenizer, DECODING["max_new_tokens"], 0.0)
    ids = reader.ids("test")[: ALONE if most == 1 else CLIPS]
    texts = []
    for start in range(0, len(ids), most):
        batch = prompt_batch(reader.rows(ids[start : start + most]), student.tokenizer.pad_token_id)
        with torch.no_grad():
            made = student.model.generate(**batch, generation_config=settings)
        answers = made[:, batch["input_ids"].shape[1] :]
        texts += student.processor.batch_decode(answers, skip_special_tokens=True)
    return len(ids) / (time.perf_counter() - started), texts


def staged(folder: Path, model: Path, store: Path, name: str) -> tuple[float, list[str]]:
    """Clips a second and answers of the stage; the second with a store finds what the first one decoded."""
    if name == "kept":
        (store / "work" / "evaluate").rename(store / "work" / "before")
    section = {"decoding": DECODING, "score_space": "prompt_range"}
    ctx = context(folder, "evaluate", {"model": model}, store, evaluate=section, checkpoint="sft")
    started = time.perf_counter()
    evaluate.run(ctx)
    seconds = time.perf_counter() - started
    rows = [json.loads(line) for line in (ctx.out / "predictions.jsonl").read_text().splitlines()]
    return len(rows) / seconds, [row["output"] for row in rows]
