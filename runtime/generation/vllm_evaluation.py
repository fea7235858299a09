"""Evaluation by vLLM: a checkpoint from its folder, many prompts at once. Not measured: no GPU at hand.

vLLM knows a thinker only as part of a released model, so a trained one is written in that layout first. Answers are
given to the clips whatever they are generated together with, so rows need no order here.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Qwen2_5OmniProcessor

from runtime.generation.generate import Said, assert_unhinted, turn_opening
from runtime.generation.vllm_requests import (
    MOST,
    Sampling,
    assert_installed,
    assert_same,
    parameters,
    request,
)
from runtime.models import MODELS
from runtime.models.layout import as_released
from runtime.models.student import Student, save

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from c2f_spec.spec.evaluate import Decoding
    from c2f_spec.spec.handoff import VllmPlace
    from c2f_spec.spec.sections import Student as StudentSpec
    from runtime.media.features import DecodedClip
    from runtime.models.rows import Row
    from runtime.process.context import Context

ROWS = 256
"""Prompts that are handed over at once; vLLM takes as many of them as its cache holds."""


class Serving:
    """`runtime.generation.generate.Engine`."""

    most = ROWS

    def __init__(
        self,
        folder: Path,
        processor: Any,
        decoding: Decoding,
        place: VllmPlace,
        shown: Callable[[str], DecodedClip],
        *,
        half: bool,
        longest: int,
    ) -> None:
        """`folder` is in the released layout; `longest` in tokens, prompt and answer."""
        from vllm import LLM  # type: ignore[import-not-found]

        self._processor, self._decoding, self._shown = processor, decoding, shown
        opening = turn_opening(processor)
        self._opening: list[int] = processor.tokenizer.encode(opening, add_special_tokens=False)
        self._llm = LLM(
            model=str(folder),
            dtype="bfloat16" if half else "float32",
            tensor_parallel_size=place.tensor_parallel,
            gpu_memory_utilization=place.memory,
            max_model_len=longest,
            limit_mm_per_prompt=MOST,
            seed=0,
        )

    def answer(self, rows: Iterable[Row], seeds: Mapping[str, int]) -> Iterator[list[Said]]:
        """As many at once as `most` says; vLLM gives them back together."""
        coming = iter(rows)
        while asked := list(islice(coming, self.most)):
            yield self._together(asked, seeds)

    def _together(self, rows: Sequence[Row], seeds: Mapping[str, int]) -> list[Said]:
        from vllm import SamplingParams

        assert_unhinted(rows, self._opening)
        began = time.monotonic()
        asked = [request(row.prompt, self._shown(row.id), self._processor) for row in rows]
        limits = Sampling(self._decoding.max_new_tokens, self._decoding.temperature, self._decoding.top_p, 0)
        named = parameters(limits, self._processor.tokenizer)
        sampled = [SamplingParams(**named, **self._seed(seeds[row.id])) for row in rows]
        outputs = self._llm.generate(asked, sampling_params=sampled, use_tqdm=False)
        for row, output in zip(rows, outputs, strict=True):
            assert_same(row.prompt, output.prompt_token_ids)
        tokens = [list(output.outputs[0].token_ids) for output in outputs]
        texts = self._processor.batch_decode(tokens, skip_special_tokens=True)
        ended = [output.outputs[0].finish_reason == "stop" for output in outputs]
        seconds = time.monotonic() - began
        return [
            Said(row.id, text, end, seconds, len(rows))
            for row, text, end in zip(rows, texts, ended, strict=True)
        ]

    def _seed(self, seed: int) -> dict[str, int]:
        return {"seed": seed % 2**31} if self._decoding.temperature else {}


def checkpoint_folder(ctx: Context, spec: StudentSpec) -> Path:
    """The model under evaluation as a released one would lie on disk."""
    assert_installed()
    scratch = Path(ctx.stage.scratch)
    if "model" in ctx.inputs:
        return as_released(ctx.inputs["model"] / "model", scratch / "released")
    if "weights" in ctx.inputs:
        return ctx.inputs["weights"]
    save(MODELS[spec.kind].base(spec, ctx.seed, None), scratch / "made")
    return as_released(scratch / "made", scratch / "released")


def processor_of(folder: Path) -> Student:
    """A student without its model, for who only asks."""
    return Student(None, Qwen2_5OmniProcessor.from_pretrained(folder, local_files_only=True))
