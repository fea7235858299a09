"""The estimate of a training step's memory (METHOD 8.4, `c2f_spec/cost/memory.py`) against what is measured.

Three trainings of a small thinker as a GPU would make them: weights in bfloat16, checkpointed layers, one process. The
peak is of the tensors that live at a time, by step; the estimate is without what it adds for CUDA (a factor and 3 GiB).
TRL takes logits in tiles of 32,768 columns, which is more than this student's whole vocabulary: here a tile has the share
of it that it has of Qwen2.5-Omni's.
"""

from __future__ import annotations

import gc
import io
import tempfile
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from c2f_spec.cost.memory import Sampling, Training, step_bytes
from c2f_spec.cost.sizes import SIZES, Size
from c2f_spec.spec.sections import Lora, Tiny
from runtime import models  # puts in place what the imports below need
from runtime.models.tiny import HEADS
from runtime.stages import grpo, sft
from tests.support import omni
from tests.support.live import Live

# isort: split
import trl.trainer.utils
from transformers import TrainerCallback

STUDENT = {"kind": "tiny", "hidden": 256, "layers": 4}
RANK = 16
REAL = SIZES["qwen2.5-omni-7b"].vocabulary
TILE = trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE
STAGES = {"sft": sft, "grpo": grpo}
LORA = {"tuner": {"kind": "lora", "rank": RANK, "alpha": 2 * RANK}}
SFT = {"steps": 3, "batch": 16, "learning_rate": 1e-4}
GRPO = {
    "steps": 2, "batch": 4, "generations": 4, "learning_rate": 1e-4, "max_new_tokens": 64, "hint": {"hard_policy": "keep"},
}  # fmt: skip
RUNS = {"sft, full": ("sft", SFT), "sft, lora": ("sft", SFT | LORA), "grpo, full": ("grpo", GRPO)}


@dataclass
class Seen(TrainerCallback):
    """What a run held, from the first of its tensors; steps after the first, which makes the optimizer's state."""

    live: Live = field(default_factory=Live)
    peak: int = 0
    shape: tuple[int, int, int] = (0, 0, 0)
    """Rows of a pass, tokens of a row, tokens that have a loss."""
    model: Any = None

    def on_step_begin(self, *_: Any, model: Any, **__: Any) -> None:
        gc.collect()
        self.model, self.live.peak = model, self.live.now

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.peak = max(self.peak, self.live.peak)


def main() -> None:
    for name, (kind, section) in RUNS.items():
        with redirect_stdout(io.StringIO()):
            seen, size = measured(kind, section)
        rows, tokens, learned = seen.shape
        adapters = size.adapters(Lora(rank=RANK)) if "tuner" in section else None
        how = Training(size, adapters, "off", 1, rows, tokens, learned)
        sampling = Sampling(reference=kind == "grpo", answers=rows, vllm=0.0) if kind == "grpo" else None
        estimate = step_bytes(how, sampling)
        print(
            f"{name:<11} {size.text / 1e6:.1f} M weights, {rows} rows of {tokens} tokens: estimate {estimate / 1e6:6.1f} MB, "
            f"measured {seen.peak / 1e6:6.1f} MB, error {100 * (estimate / seen.peak - 1):+.0f} %"
        )


def measured(kind: str, section: dict[str, Any]) -> tuple[Seen, Size]:
    """A run of a stage under the counter, and the size of its student."""
    module, seen = STAGES[kind], Seen()
    name, begun = ("SFTConfig", module.train) if kind == "sft" else ("GRPOConfig", module.train)
    config = getattr(module, name)

    def begin(ctx: Any, trainer: Any, watch: Any) -> None:
        trainer.add_callback(seen)
        note_shapes(trainer, kind, seen)
        with seen.live:
            begun(ctx, trainer, watch)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # What the stage decides by the GPU that it sees.
        stack.enter_context(patch.dict(models.MODELS, tiny=replace(TINY, base=half, half=lambda _: True)))
        stack.enter_context(
            patch.object(module, name, lambda **a: config(**{**a, "activation_checkpointing": True}))
        )
        stack.enter_context(patch.object(module, "train", begin))
        width = half_of(STUDENT).model.config.get_text_config().vocab_size
        stack.enter_context(
            patch.object(trl.trainer.utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", width * TILE // REAL)
        )
        inputs = {"prepare": omni.prepared()} | ({"filter": omni.chains()} if kind == "sft" else {})
        module.run(omni.context(folder, kind, inputs, student=STUDENT, **{kind: section}))
    return seen, size_of(seen.model)


def half_of(student: dict[str, Any]) -> Any:
    return half(Tiny(**student), 0, None)


TINY = models.MODELS["tiny"]


def half(*arguments: Any) -> Any:
    student = TINY.base(*arguments)
    student.model.to(torch.bfloat16)
    return student


def note_shapes(trainer: Any, kind: str, seen: Seen) -> None:
    """Rows and tokens of the largest pass."""
    name = "compute_loss" if kind == "sft" else "_compute_loss"
    compute = getattr(trainer, name)

    def noting(model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        if kind == "sft":
            rows, tokens = inputs["input_ids"].shape
            learned = tokens
        else:
            rows, learned = inputs["completion_ids"].shape
            tokens = inputs["prompt_ids"].shape[1] + learned
        seen.shape = max(seen.shape, (rows, tokens, learned))
        return compute(model, inputs, *rest, **named)

    setattr(trainer, name, noting)


def size_of(model: Any) -> Size:
    """As the estimate has it. Of this student every weight is trained, the towers' too."""
    text = model.config.get_text_config()
    weights = sum(p.numel() for name, p in model.named_parameters() if "lora_" not in name)
    return Size(
        weights, 0, weights, text.hidden_size, text.num_hidden_layers, text.intermediate_size,
        text.num_key_value_heads, text.hidden_size // HEADS, text.vocab_size,
    )  # fmt: skip
