"""The engine of an evaluation: the model itself, or vLLM, which answers many prompts at once (not measured on a GPU).

vLLM loads a thinker only as part of a released model, so a trained one is converted first.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Qwen2_5OmniProcessor

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.sections import Student as StudentSpec
from c2f_spec.spec.student import positions
from runtime.generation.generate import GeneratedAnswer, TransformersEngine, assert_unhinted, turn_opening
from runtime.generation.vllm_requests import (
    MEDIA_PER_PROMPT,
    Sampling,
    assert_installed,
    assert_same_prompt,
    build_request,
    sampling_parameters,
)
from runtime.models import MODELS
from runtime.models.thinker import Student, device, in_released_layout, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from c2f_spec.spec.evaluate import Decoding
    from c2f_spec.spec.handoff import VllmPlace
    from runtime.generation.generate import Engine
    from runtime.media.features import DecodedClip
    from runtime.models.rows import Reader, Row
    from runtime.process.context import Context


ROWS = 256
"""Prompts a call; vLLM runs as many of them at once as its cache holds."""


class VllmEngine:
    """Generation by vLLM: a `runtime.generation.generate.Engine`."""

    max_rows = ROWS

    def __init__(
        self,
        folder: Path,
        processor: Any,
        decoding: Decoding,
        place: VllmPlace,
        decoded_clip: Callable[[str], DecodedClip],
        *,
        half: bool,
        longest: int,
    ) -> None:
        """`folder` is in the released layout; `longest` in tokens, prompt and answer."""
        from vllm import LLM  # type: ignore[import-not-found]

        self._processor, self._decoding, self._decoded_clip = processor, decoding, decoded_clip
        opening = turn_opening(processor)
        self._opening: list[int] = processor.tokenizer.encode(opening, add_special_tokens=False)
        self._llm = LLM(
            model=str(folder),
            dtype="bfloat16" if half else "float32",
            tensor_parallel_size=place.tensor_parallel,
            gpu_memory_utilization=place.memory,
            max_model_len=longest,
            limit_mm_per_prompt=MEDIA_PER_PROMPT,
            seed=0,
        )

    def answer(self, rows: Iterable[Row], seeds: Mapping[str, int]) -> Iterator[list[GeneratedAnswer]]:
        """Answer `max_rows` rows a call, which vLLM returns together."""
        waiting = iter(rows)
        while chunk := list(islice(waiting, self.max_rows)):
            yield self._answer_chunk(chunk, seeds)

    def _answer_chunk(self, rows: Sequence[Row], seeds: Mapping[str, int]) -> list[GeneratedAnswer]:
        from vllm import SamplingParams

        assert_unhinted(rows, self._opening)
        began = time.monotonic()
        requests = [build_request(row.prompt, self._decoded_clip(row.id), self._processor) for row in rows]
        limits = Sampling(self._decoding.max_new_tokens, self._decoding.temperature, self._decoding.top_p, 0)
        named = sampling_parameters(limits, self._processor.tokenizer)
        settings = [SamplingParams(**named, **self._seed(seeds[row.id])) for row in rows]
        outputs = self._llm.generate(requests, sampling_params=settings, use_tqdm=False)
        for row, output in zip(rows, outputs, strict=True):
            assert_same_prompt(row.prompt, output.prompt_token_ids)
        tokens = [list(output.outputs[0].token_ids) for output in outputs]
        texts = self._processor.batch_decode(tokens, skip_special_tokens=True)
        ended = [output.outputs[0].finish_reason == "stop" for output in outputs]
        seconds = time.monotonic() - began
        return [
            GeneratedAnswer(row.id, text, end, seconds, len(rows))
            for row, text, end in zip(rows, texts, ended, strict=True)
        ]

    def _seed(self, seed: int) -> dict[str, int]:
        return {"seed": seed % 2**31} if self._decoding.temperature else {}


def checkpoint_folder(ctx: Context, spec: StudentSpec) -> Path:
    """Return the folder of the evaluated model."""
    assert_installed()
    scratch = Path(ctx.stage.scratch)
    if "model" in ctx.inputs:
        return in_released_layout(ctx.inputs["model"] / "model", scratch / "released")
    if "weights" in ctx.inputs:
        return ctx.inputs["weights"]
    folder = scratch / "base"
    save(MODELS[spec.kind].base(spec, ctx.seed, None), folder)
    return folder


def load_processor(folder: Path) -> Student:
    """Return a student without its model, for prompts alone."""
    return Student(None, Qwen2_5OmniProcessor.from_pretrained(folder, local_files_only=True))


def load_engine(ctx: Context, decoding: Decoding) -> tuple[Student, Callable[[Reader], Engine]]:
    """Load the evaluated model, and return a constructor of the placement's engine; vLLM loads its own model."""
    spec, place = ctx.section("student", StudentSpec), ctx.stage.placement.vllm
    kind = MODELS[spec.kind]
    if place is None:
        student = load_checkpoint(ctx)
        student.model.eval().to(device())
        return student, lambda _: TransformersEngine(student, decoding, kind.rows_generated)
    folder = checkpoint_folder(ctx, spec)
    without_model = load_processor(folder)
    longest, half = positions(spec), kind.half(spec)
    return without_model, lambda reader: VllmEngine(
        folder, without_model.processor, decoding, place, reader.decoded_clip, half=half, longest=longest
    )


def load_checkpoint(ctx: Context) -> Student:
    """Load the evaluated model."""
    spec = ctx.section("student", StudentSpec)
    if "model" in ctx.inputs:
        return MODELS[spec.kind].load(spec, ctx.inputs["model"] / "model")
    which = ctx.stage.preimage["spec"]["checkpoint"]
    if which != "base":
        raise InvalidStageSpec(f"the checkpoint `{which}` is missing in this stage")
    return MODELS[spec.kind].base(spec, ctx.seed, ctx.inputs.get("weights"))
