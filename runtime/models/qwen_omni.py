"""The student `qwen_omni`: the thinker of a released Qwen2.5-Omni, without the talker (METHOD 8.2).

The tokenizer stays as released: the tags are written in ordinary tokens, because new tokens would have random
embeddings that a low-rank tuner of the other layers cannot teach.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoTokenizer

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.student import QwenOmni, Tower
from runtime.models.thinker import Kind, Student, load

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.sections import Student as StudentSpec

TOWERS: dict[Tower, str] = {"vision": "model.visual.", "audio": "model.audio_tower."}
"""Prefixes of the towers' parameters. The aligner is the last layer of each tower, so it is frozen with it."""


def base(spec: StudentSpec, seed: int, weights: Path | None) -> Student:
    """Load the released student. `seed` is not used; `weights` is the staged folder of `model` at `revision`."""
    del seed
    return load_student(spec, _staged(spec, weights))


def load_student(spec: StudentSpec, folder: Path) -> Student:
    """Load a student in the precision of training and evaluation; released files are in bfloat16."""
    dtype = torch.bfloat16 if half(spec) else torch.float32
    return load(folder, dtype=dtype, attention=attention(spec))


def half(spec: StudentSpec) -> bool:
    precision = _own(spec).precision
    return torch.cuda.is_available() if precision == "auto" else precision == "bfloat16"


def attention(spec: StudentSpec) -> str:
    """Return the implementation: flash attention where a GPU and its package exist, else torch's own."""
    implementation = _own(spec).attention
    if implementation != "auto":
        return implementation
    flash = torch.cuda.is_available() and half(spec) and find_spec("flash_attn") is not None
    return "flash_attention_2" if flash else "sdpa"


def frozen(spec: StudentSpec) -> tuple[str, ...]:
    return tuple(prefix for tower, prefix in TOWERS.items() if tower in _own(spec).frozen)


def tokenizer(spec: StudentSpec, weights: Path | None) -> Any:
    return AutoTokenizer.from_pretrained(_staged(spec, weights), local_files_only=True)


def _own(spec: StudentSpec) -> QwenOmni:
    assert isinstance(spec, QwenOmni), "the registry selects the kind"
    return spec


def _staged(spec: StudentSpec, weights: Path | None) -> Path:
    if weights is None:
        raise InvalidStageSpec(
            f"the weights of `{_own(spec).model}` are missing in this stage",
            hint=f"run `c2f-spec model add {_own(spec).model}`",
        )
    return weights


QWEN_OMNI = Kind(
    base=base,
    load=load_student,
    tokenizer=tokenizer,
    frozen=frozen,
    half=half,
    rows_trained=2,
    rows_generated=16,
)
