"""Stages of training on one process and on several, with answers from a table instead of the model.

`python -m torch.distributed.run --nproc-per-node 2 -m tests.support.ranks CASES FOLDER` runs every case on its ranks, and leaves
the outputs of each below FOLDER. What a model generates depends on the order in which a process draws random numbers, and
so on how many share the work; the table gives each answer to a prompt the same text on any number of processes.

An answer is asked for by clip, by its number in the group, and by whether it follows a hint; and, with `patterns`, by
step, so that which groups are hard is drawn anew each time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch.distributed
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from c2f_spec.spec.handoff import Placement
from runtime.models import MODELS
from runtime.models.thinker import save
from runtime.stages import grpo, sft
from runtime.text.chains import canonical_answer
from runtime.training.hints.trainer import HintGRPOTrainer
from tests.support import omni

WRONG = {"negative": "positive", "neutral": "negative", "positive": "neutral"}
HARD = (0.0, 0.15, 0.5, 0.85, 1.0)
"""Shares of groups that are hard in a step, in turn."""


@dataclass(frozen=True)
class Case:
    """A training that is compared with itself."""

    name: str
    kind: str = "grpo"
    section: dict[str, Any] = field(default_factory=dict)
    patterns: bool = False


def hints(**policy: Any) -> dict[str, Any]:
    """A section of grpo with a policy of hints; every group of the table is judged by the sum of its rewards."""
    trigger = {"trigger": {"kind": "all_below", "threshold": 2.0}}
    return {"steps": 4, "batch": 4, "generations": 2, "learning_rate": 1e-3, "hint": trigger | policy}


LORA = {"tuner": {"kind": "lora", "rank": 4, "alpha": 8}}
SFT = Case("sft", "sft", {"steps": 6, "batch": 8, "learning_rate": 3e-3})
REPLACED = Case("groups replaced", section=hints())
SPLIT = Case("a group split over ranks", section=hints() | {"batch": 3, "generations": 4})
CASES = (
    SFT,
    Case("sft, adapters", "sft", SFT.section | LORA),
    REPLACED,
    SPLIT,
    Case("adapters", section=hints() | LORA),
    Case("hints foretold", section=hints(trigger={"kind": "always"}, max_hinted_fraction=0.5)),
    Case("hard groups dropped", section=hints(hard_policy="drop")),
    Case("polarity taught", section=hints(preset="polarity_taught") | {"generations": 4}),
    Case("appended, hints learned", section=hints(group={"kind": "append", "k": 1}, forced_loss={"mode": "sft", "coef": 0.1})),
    Case("two updates, base reference", section=hints() | {"updates": 2, "reference": "base"}),
)  # fmt: skip


class Replayed(HintGRPOTrainer):
    """Answers of a table. Every generation is a collective operation, as those of vLLM and under ZeRO 3 are."""

    case: Case

    def _generate_single_turn(self, prompt_ids: Any, images: Any, media: Any, num_generations: int) -> Any:
        del images
        rank, generations = self.accelerator.process_index, self.num_generations
        if self.accelerator.num_processes > 1:
            torch.distributed.barrier()
        hinted = [len(ids) > len(row.prompt) for ids, row in zip(prompt_ids, media.rows, strict=True)]
        count = hinted.count(False)
        if count:
            # The number in its group of the first answer to each clip on this rank; the first group may have begun
            # on the rank before. Rows with a hint come last.
            starts: dict[str, int] = {}
            for i, row in enumerate(media.rows[:count]):
                starts.setdefault(row.id, (rank * count + i) % generations)
            self.starts = starts
        seen: dict[tuple[str, bool], int] = {}
        answers = []
        for row, after in zip(media.rows, hinted, strict=True):
            number = self.starts[row.id] + seen.get((row.id, after), 0)
            seen[row.id, after] = seen.get((row.id, after), 0) + 1
            text = self._text(row.id, number, after)
            answers.append(self._tokenizer.encode(text + self._tokenizer.eos_token, add_special_tokens=False))
        return answers, None

    def _text(self, clip_id: str, number: int, hinted: bool) -> str:
        clip, step = self.reader.clips[clip_id], self.state.global_step if self.case.patterns else 0
        share = HARD[step % len(HARD)] if self.case.patterns else 0.5
        hard = random.Random(f"{clip_id} {step}").random() < share
        draw = random.Random(f"{clip_id} {step} {number} {hinted}")
        score = round(clip.label + draw.uniform(-1, 1), 1)
        right = canonical_answer(
            omni.FMT, clip.polarity, "1. words" * draw.randint(1, 3), max(-4, min(4, score))
        )
        if hinted:
            return right.partition("\n\n")[2] if draw.random() < 0.7 else "1."
        if hard:
            return "It is " + clip.polarity * draw.randint(1, 3)
        if number == 0 or draw.random() < 0.4:
            return right
        return canonical_answer(omni.FMT, WRONG[clip.polarity], "1. words", score)


def run(case: Case, folder: Path, inputs: dict[str, Path], zero: str, rank: int, world: int) -> Path:
    """One rank's part in a case; where its outputs are."""
    ctx = omni.context(
        folder / f"rank-{rank}", case.kind, inputs,
        placement=Placement(zero=zero), store=folder / "store", **{case.kind: case.section},
    )  # fmt: skip
    ctx.rank, ctx.world = rank, world
    before = grpo.HintGRPOTrainer
    grpo.HintGRPOTrainer = type("OfCase", (Replayed,), {"case": case})  # type: ignore[misc]
    try:
        {"sft": sft, "grpo": grpo}[case.kind].run(ctx)
    finally:
        grpo.HintGRPOTrainer = before  # type: ignore[misc]
        unset_hf_deepspeed_config()  # else the models of the next case are made in parts
    return ctx.out


def make_inputs(folder: Path) -> None:
    """A prepared data set, chains, and the untouched student to start from."""
    shutil.copytree(omni.prepared(), folder / "prepared")
    shutil.copytree(omni.chains(), folder / "chains")
    save(MODELS["tiny"].base(omni.SPEC, 3, None), folder / "start" / "model")


def inputs_of(kind: str, made: Path) -> dict[str, Path]:
    second = {"filter": made / "chains"} if kind == "sft" else {"start": made / "start"}
    return {"prepare": made / "prepared"} | second


def run_all(cases: list[Case], folder: Path, made: Path, zero: str, rank: int, world: int) -> None:
    """Every case on this rank; the last line of its output says that none hung."""
    for case in cases:
        run(case, folder / case.name, inputs_of(case.kind, made), zero, rank, world)
    if rank == 0:
        (folder / "done").touch()


def apart(one: Path, other: Path) -> tuple[float, float]:
    """How far the metrics of two runs are from each other, and their weights: the largest difference, relative where a
    value is above 1.
    """
    first, second = (omni.lines(out / "metrics.jsonl") for out in (one, other))
    assert [row.keys() for row in first] == [row.keys() for row in second], "other metrics"
    metrics = max(
        abs(a[name] - b[name]) / max(1.0, abs(a[name]))
        for a, b in zip(first, second, strict=True)
        for name in a
    )
    from safetensors.torch import load_file

    before, after = (load_file(out / "model" / "model.safetensors") for out in (one, other))
    assert before.keys() == after.keys(), "other tensors"
    for name, tensor in before.items():
        assert tensor.shape == after[name].shape, name
    return metrics, max((before[name] - after[name]).abs().max().item() for name in before)


if __name__ == "__main__":
    wanted, place, made, zero = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    chosen = [Case(**each) for each in json.loads(Path(wanted).read_text())]
    run_all(chosen, place, made, zero, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
