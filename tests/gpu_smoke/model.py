"""`python -m tests.gpu_smoke.model SPEC-JSON WEIGHTS PREPARED`: the student by itself; prints {"hint": …, "gradients": …}.

In a process of its own, so that a GPU is free again afterwards. Every hint is tried that a format can ask for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.sections import C2f, Media, Student
from runtime.models import MODELS
from runtime.models.batches import answer_tokens, prompt_batch
from runtime.models.rows import Reader
from runtime.models.thinker import device
from runtime.text.chains import canonical_answer, hint_prefix
from runtime.training.hints.build_policy import assert_token_prefix

WATCHED = ("pixel_values_videos", "input_features")
"""Frames and sound, as the model takes them."""


def main(spec: str, media: str, weights: Path, prepared: Path) -> None:
    section = TypeAdapter(Student).validate_json(spec)
    student = MODELS[section.kind].base(section, 0, weights)
    fmt = C2f()
    reader = Reader(prepared, student.processor, fmt, Media.model_validate_json(media))
    print(json.dumps({"hint": _hints(student.tokenizer, fmt), "gradients": _gradients(student, reader, fmt)}))


def _hints(tokenizer: Any, fmt: C2f) -> dict[str, bool]:
    """By where a hint ends: whether it is a token prefix for every polarity."""
    found = {}
    for end in ("after_polarity", "after_think_open"):
        try:
            for polarity in POLARITIES:
                given = hint_prefix(fmt, polarity, end)
                assert_token_prefix(
                    tokenizer, given, canonical_answer(fmt, polarity, "1.", 0.0).removeprefix(given)
                )
            found[end] = True
        except InvalidStageSpec:
            found[end] = False
    return found


def _gradients(student: Any, reader: Reader, fmt: C2f) -> dict[str, float]:
    """Largest gradient of an answer's loss at the frames and at the sound of one clip."""
    model, row = student.model.to(device()), reader.row(reader.ids("train")[0])
    model.requires_grad_(requires_grad=False)
    answer = torch.tensor(
        [answer_tokens(student.tokenizer, canonical_answer(fmt, "positive", "1. a smile", 1.0))]
    )
    batch = dict(prompt_batch([row], student.tokenizer.pad_token_id))
    labels = torch.cat([torch.full_like(batch["input_ids"], -100), answer], dim=1)
    batch["input_ids"] = torch.cat([batch["input_ids"], answer], dim=1)
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    given = {name: tensor.to(device()) for name, tensor in batch.items()}
    for name in WATCHED:
        given[name] = given[name].to(model.dtype).requires_grad_()
    model(**given, labels=labels.to(device())).loss.backward()
    return {name: float(given[name].grad.abs().max()) for name in WATCHED}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
