"""A teacher whose weights transformers runs inside the stage: the thinker of an omni model, or any model whose processor
takes `text`, `videos` and `audio` as those of the Qwen omni family do.

Clips are answered in batches that are the same after whatever interruption, and each draws from a generator of its own:
adding Gumbel noise to the scores and taking the largest is sampling from their softmax, so one greedy pass samples
every row by its own seed. On CPU the answer of a clip is the same in every run; on a GPU as far as its kernels are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData, InvalidStageSpec
from runtime.endpoints.replies import Reply, RequestFailed
from runtime.media import decode
from runtime.text.prompts import turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from c2f_spec.spec.teacher import TransformersTeacher
    from runtime.teachers.base import Question, Task

THINKERS = {
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
}
"""Of models that also talk, the part that writes; the rest would only take memory."""
ROWS = 8
"""Clips that are answered at once."""


class Transformers:
    """Model and processor on all GPUs that are visible, or on the CPU."""

    batch = ROWS
    at_once = 1

    def __init__(self, spec: TransformersTeacher, task: Task) -> None:
        """Raises `InvalidStageSpec` without weights, `InvalidData` for a folder that holds none of such a model."""
        if task.weights is None:
            raise InvalidStageSpec(
                f"the weights of `{spec.model}` were not handed to this stage",
                hint=f"stage them: c2f-spec model add {spec.model}",
            )
        self._spec, self._task = spec, task
        self._model, self._processor = load(task.weights)

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        """Clips that cannot be decoded fail alone; the others of the batch are answered without them."""
        seen: dict[str, _Seen | RequestFailed] = {q.id: self._see(q) for q in questions}
        good = [q for q in questions if not isinstance(seen[q.id], RequestFailed)]
        replies = iter(self._generate(good, [s for q in good if isinstance(s := seen[q.id], _Seen)]))
        return [s if isinstance(s := seen[q.id], RequestFailed) else next(replies) for q in questions]

    def give_up(self) -> None:
        """It tries everything once."""

    def close(self) -> None:
        """The process ends soon, and its memory with it."""

    def _see(self, question: Question) -> _Seen | RequestFailed:
        media = self._task.media
        try:
            frames = None if "video" in question.lacks else decode.frames(question.media, media)
            sound = None if "audio" in question.lacks else decode.audio(question.media)
        except InvalidData as error:
            return RequestFailed("media", error.message)
        return _Seen(frames, sound)

    def _generate(self, questions: Sequence[Question], seen: Sequence[_Seen]) -> list[Reply]:
        """One reply to each question."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        if not questions:
            return []
        began = time.monotonic()
        inputs = self._inputs(questions, seen)
        tokenizer, spec = self._processor.tokenizer, self._spec
        ends = _ends(self._model, tokenizer)
        settings = GenerationConfig(
            max_new_tokens=spec.max_new_tokens,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
            # A sampled placeholder of sound or video has no media behind it.
            suppress_tokens=sorted(
                i for i, token in tokenizer.added_tokens_decoder.items() if token.special and i not in ends
            ),
        )
        drawn = LogitsProcessorList()
        if spec.temperature > 0:
            device = self._model.device
            drawn.append(Drawn([q.seed for q in questions], spec.temperature, spec.top_p, device))
        with torch.inference_mode():
            made = self._model.generate(**inputs, generation_config=settings, logits_processor=drawn)
        seconds = (time.monotonic() - began) / len(questions)
        prompt = inputs["input_ids"].shape[1]
        given = inputs["attention_mask"].sum(-1).tolist()
        return [
            _reply(row[prompt:].tolist(), int(n), seconds, tokenizer, ends)
            for row, n in zip(made, given, strict=True)
        ]

    def _inputs(self, questions: Sequence[Question], seen: Sequence[_Seen]) -> Any:
        """What the model is given, on its device: padded on the left, each clip with its own rate of frames."""
        import torch

        processor = self._processor
        video = processor.video_processor
        texts = [
            processor.apply_chat_template(
                [{"role": "user", "content": turn(q.prompt, self._task.language, q.lacks)}],
                tokenize=False,
                add_generation_prompt=True,
            )
            for q in questions
        ]
        shown = [(q, s.frames) for q, s in zip(questions, seen, strict=True) if s.frames is not None]
        factor = video.patch_size * video.merge_size
        batch = processor(
            text=texts,
            videos=[_fitted(frames, factor) for _, frames in shown] or None,
            audio=[s.sound for s in seen if s.sound is not None] or None,
            videos_kwargs={"do_resize": False, "do_sample_frames": False},
            padding=True,
            return_tensors="pt",
        )
        if shown:
            # The processor knows one rate for all; placeholders do not depend on it, positions in time do.
            batch["video_second_per_grid"] = torch.tensor(
                [video.temporal_patch_size * q.duration_s / len(frames) for q, frames in shown]
            )
        asked = sum(frames is not None for frames in (s.frames for s in seen))
        if asked and "video_grid_thw" not in batch:
            raise InvalidData("the teacher's processor took no video", hint="name an omni model")
        return batch.to(self._model.device).to(self._model.dtype)


class _Seen:
    """What was decoded of a clip."""

    __slots__ = ("frames", "sound")

    def __init__(self, frames: NDArray[np.uint8] | None, sound: NDArray[np.float32] | None) -> None:
        self.frames, self.sound = frames, sound


class Drawn:
    """Scores (rows, vocabulary) whose largest is a sample of their nucleus at a temperature, by each row's own seed."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float, device: torch.device) -> None:
        import torch
        from transformers import TopPLogitsWarper

        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._nucleus = TopPLogitsWarper(top_p) if top_p < 1 else None

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        scores = scores.float() / self._temperature
        if self._nucleus is not None:
            scores = self._nucleus(ids, scores)
        rows = [
            torch.empty_like(row).exponential_(generator=g)
            for row, g in zip(scores, self._generators, strict=True)
        ]
        return scores - torch.stack(rows).log()


def load(folder: Path) -> tuple[Any, Any]:
    """Model and processor of a staged folder, without a network. Raises `InvalidData` unless every tensor was restored."""
    import torch

    import runtime.models.compat  # noqa: F401  # isort: skip  before transformers looks for torchvision
    import transformers
    from transformers import AutoConfig, AutoProcessor

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    name = THINKERS.get(config.model_type) or next(iter(config.architectures or ()), "")
    model_class = getattr(transformers, name, None)
    if model_class is None:
        raise InvalidData(
            f"{folder} is of a model that transformers does not know: `{name or config.model_type}`"
        )
    own = config.get_text_config() if config.model_type not in THINKERS else None
    spread = {"device_map": "auto"} if torch.cuda.device_count() > 1 else {}
    model, found = model_class.from_pretrained(
        folder,
        **({} if own is not None else {"config": config.thinker_config}),
        local_files_only=True,
        dtype="auto",
        output_loading_info=True,
        **spread,
    )
    lost = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if lost:
        raise InvalidData(f"{folder} lacks {len(lost)} tensors of the model, among them `{lost[0]}`")
    if not spread and torch.cuda.is_available():
        model.to("cuda")
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a reply."""
    given = model.generation_config.eos_token_id
    given = tokenizer.eos_token_id if given is None else given
    return [given] if isinstance(given, int) else list(given)


def _reply(ids: list[int], given: int, seconds: float, tokenizer: Any, ends: list[int]) -> Reply:
    stop = next((n for n, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[:stop]
    text = tokenizer.decode(kept, skip_special_tokens=True)
    written = len(ids) if stop is None else stop + 1
    return Reply(text, given, written, seconds, "length" if stop is None else "stop")


def _fitted(frames: NDArray[np.uint8], factor: int) -> torch.Tensor:
    """Frames (T, height, width, RGB) as (T, RGB, height, width), sides rounded to what the model's patches divide."""
    import torch

    video = torch.from_numpy(frames).permute(0, 3, 1, 2)
    sides = [max(factor, round(side / factor) * factor) for side in video.shape[2:]]
    if sides == list(video.shape[2:]):
        return video
    scaled = torch.nn.functional.interpolate(video.float(), size=sides, mode="bicubic", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
