"""Released weights of Qwen2.5-Omni, from a staged folder: the thinker alone, without the talker (METHOD 8.2).

The tokenizer stays as released: the tags are written in ordinary tokens, because new tokens would have random
embeddings that a low-rank tuner of the other layers cannot teach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from c2f_spec.errors import StageSpecWrong
from runtime.models.student import Kind, Student, load

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.sections import Student as StudentSpec


def base(spec: StudentSpec, seed: int, weights: Path | None) -> Student:
    """The released student. `seed` does not matter; `weights` is the staged folder of `model` at `revision`."""
    del seed
    return load(_staged(spec, weights))


def tokenizer(spec: StudentSpec, weights: Path | None) -> Any:
    return AutoTokenizer.from_pretrained(_staged(spec, weights), local_files_only=True)


def _staged(spec: StudentSpec, weights: Path | None) -> Path:
    if weights is None:
        model = getattr(spec, "model", spec.kind)
        raise StageSpecWrong(
            f"the weights of `{model}` were not handed to this stage",
            hint="stage them with `c2f-spec model add`",
        )
    return weights


QWEN_OMNI = Kind(
    base=base,
    tokenizer=tokenizer,
    # The aligner is the last layer of each tower, so it is frozen with them.
    frozen=("model.visual.", "model.audio_tower."),
    rows_trained=2,
    rows_generated=16,
)
