"""A student: an omni thinker with its processor, loaded from a folder or made by its kind, and saved to a folder."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import save_torch_state_dict
from transformers import GenerationConfig, Qwen2_5OmniProcessor, Qwen2_5OmniThinkerForConditionalGeneration
from transformers.utils import logging

import runtime.models.patches  # noqa: F401  changes results, so that keys of all students must have it
from c2f_spec.errors import InvalidData
from runtime.models.layout import hub_name, is_released, write_released_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from c2f_spec.spec.sections import Student as StudentSpec


SHARD_BYTES = 5_000_000_000
"""Largest file of tensors, as the hub has them."""


@dataclass(frozen=True, slots=True)
class Student:
    """Model and processor, always used together."""

    model: Any
    """`Qwen2_5OmniThinkerForConditionalGeneration`."""
    processor: Any
    """`Qwen2_5OmniProcessor`."""

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer


@dataclass(frozen=True, slots=True)
class Kind:
    """The functions in which kinds of students differ."""

    base: Callable[[StudentSpec, int, Path | None], Student]
    """Make the untouched student from its section of the spec, the experiment's seed and the folder of its weights."""
    load: Callable[[StudentSpec, Path], Student]
    """Load a trained student from a folder that `save` wrote."""
    tokenizer: Callable[[StudentSpec, Path | None], Any]
    """Load the tokenizer alone, for callers that only count."""
    frozen: Callable[[StudentSpec], tuple[str, ...]]
    """Return the prefixes of parameters that no tuner trains (METHOD 8.2)."""
    half: Callable[[StudentSpec], bool]
    """Return whether training computes in bfloat16."""
    rows_trained: int
    """Most answers in one forward and backward pass of a device; a larger batch is accumulated."""
    rows_generated: int
    """Clips that are answered at once in evaluation."""


def load(folder: Path, *, dtype: torch.dtype | None = None, attention: str | None = None) -> Student:
    """Load the student in `folder`, without a network; by default with its saved `dtype` and torch's `attention`.

    Raises `InvalidData` unless every tensor is restored. The talker of a released folder is not read.
    """
    if not (folder / "config.json").is_file():
        raise InvalidData(f"{folder} holds no model: `config.json` is missing")
    # transformers warns of its own defaults for the talker, and what is lost is checked here.
    with _only_errors():
        model, found = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
            folder,
            local_files_only=True,
            dtype=dtype or "auto",
            attn_implementation=attention,
            output_loading_info=True,
        )
        processor = Qwen2_5OmniProcessor.from_pretrained(folder, local_files_only=True)
    lost = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if lost:
        raise InvalidData(f"{folder} lacks {len(lost)} tensors of the model, among them `{lost[0]}`")
    return Student(model, processor)


@contextmanager
def _only_errors() -> Iterator[None]:
    """Let transformers log errors alone."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def save(student: Student, folder: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
    """Write thinker and processor to `folder` in the layout of the hub, which `load`, transformers and vLLM read.

    Files of tensors have at most `shard_bytes`, but for a tensor that is larger alone.
    """
    model = student.model
    tied = getattr(model, "all_tied_weights_keys", {})
    tensors = {hub_name(name): tensor for name, tensor in model.state_dict().items() if name not in tied}
    write_released_config(model.config, student.processor, folder)
    model.generation_config.save_pretrained(folder)
    save_torch_state_dict(tensors, folder, max_shard_size=shard_bytes, metadata={"format": "pt"})


def in_released_layout(folder: Path, into: Path) -> Path:
    """Return a folder with the student of `folder` in the layout of the hub: itself, or a copy in `into`.

    Stages save in this layout; a checkpoint that was adopted may have the layout of the thinker's class.
    """
    if is_released(folder):
        return folder
    save(load(folder), into)
    return into


def freeze(model: Any, prefixes: tuple[str, ...]) -> None:
    """Exclude the parameters under `prefixes` from training. Raises `LookupError` if a prefix names none."""
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise LookupError(f"no parameter of the model starts with `{prefix}`")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(prefixes))


def suppressed_tokens(tokenizer: Any) -> list[int]:
    """Return the special tokens that must never be sampled: all but the end of the turn.

    A sampled placeholder of sound or video has no media behind it, and positions cannot be computed for it.
    """
    return sorted(
        i
        for i, token in tokenizer.added_tokens_decoder.items()
        if token.special and i != tokenizer.eos_token_id
    )


def special_tokens_in(tokenizer: Any, text: str) -> list[str]:
    """Return the special tokens in `text`, such as an end of a turn or a placeholder of media."""
    return [t.content for t in tokenizer.added_tokens_decoder.values() if t.special and t.content in text]


def generation_config(tokenizer: Any, max_new_tokens: int, temperature: float) -> Any:
    """Return the settings of generation: greedy at temperature 0, else sampled from the whole distribution."""
    sampling = {"temperature": temperature, "top_p": 1.0, "top_k": 0} if temperature else {}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=suppressed_tokens(tokenizer),
        **sampling,
    )


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
