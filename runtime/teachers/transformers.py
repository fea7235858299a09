"""A teacher that transformers runs inside the stage: the thinker of an omni model, or a model with a similar processor.

Its processor must take `text`, `videos` and `audio` as those of the Qwen omni family do.

Batches are the same after an interruption, and each clip has its own generator: adding Gumbel noise to the scores and
taking the largest is sampling from their softmax, so one greedy pass samples every row by its own seed. On CPU the answer of a clip is the same in every run; on a GPU as far as its kernels are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from runtime.endpoints.replies import Reply, RequestFailed
from runtime.media import decode
from runtime.media.features import DecodedClip
from runtime.teachers.questions import Teacher
from runtime.text.prompts import user_turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from c2f_spec.spec.teacher import TransformersTeacher
    from runtime.teachers.questions import Question, Task

THINKERS = {
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
}
"""The class of the part that writes, for models that also talk; the rest would only take memory."""
BATCH_SIZE = 8
"""Clips in a batch."""


class Transformers(Teacher):
    """Model and processor on all GPUs that are visible, or on the CPU."""

    batch = BATCH_SIZE
    concurrency = 1

    def __init__(self, spec: TransformersTeacher, task: Task) -> None:
        """Raises `InvalidStageSpec` without weights, `InvalidData` for a folder that holds none of such a model."""
        self._spec, self._task = spec, task
        self._model, self._processor = load(task.find_weights(spec.model))

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        """Clips that cannot be decoded fail alone; the others of the batch are answered without them."""
        decoded: dict[str, DecodedClip | RequestFailed] = {q.id: self._decode(q) for q in questions}
        good = [q for q in questions if not isinstance(decoded[q.id], RequestFailed)]
        replies = iter(self._generate(good, [s for q in good if isinstance(s := decoded[q.id], DecodedClip)]))
        return [s if isinstance(s := decoded[q.id], RequestFailed) else next(replies) for q in questions]

    def _decode(self, question: Question) -> DecodedClip | RequestFailed:
        media = self._task.media
        try:
            frames = None if "video" in question.lacks else decode.frames(question.media, media)
            sound = None if "audio" in question.lacks else decode.audio(question.media)
        except InvalidData as error:
            return RequestFailed("media", error.message)
        return DecodedClip(frames, sound, question.duration_s)

    def _generate(self, questions: Sequence[Question], decoded: Sequence[DecodedClip]) -> list[Reply]:
        """One reply to each question."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        if not questions:
            return []
        began = time.monotonic()
        inputs = self._inputs(questions, decoded)
        tokenizer, spec = self._processor.tokenizer, self._spec
        ends = _end_tokens(self._model, tokenizer)
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
        processors = LogitsProcessorList()
        if spec.temperature > 0:
            device = self._model.device
            processors.append(
                GumbelSampler([q.seed for q in questions], spec.temperature, spec.top_p, device)
            )
        with torch.inference_mode():
            output = self._model.generate(**inputs, generation_config=settings, logits_processor=processors)
        seconds = (time.monotonic() - began) / len(questions)
        prompt = inputs["input_ids"].shape[1]
        prompt_tokens = inputs["attention_mask"].sum(-1).tolist()
        return [
            _reply(row[prompt:].tolist(), int(n), seconds, tokenizer, ends)
            for row, n in zip(output, prompt_tokens, strict=True)
        ]

    def _inputs(self, questions: Sequence[Question], decoded: Sequence[DecodedClip]) -> Any:
        """Return the model's inputs on its device: padded on the left, each clip with its own rate of frames."""
        import torch

        processor = self._processor
        video = processor.video_processor
        texts = [
            processor.apply_chat_template(
                [{"role": "user", "content": user_turn(q.prompt, self._task.language, q.lacks)}],
                tokenize=False,
                add_generation_prompt=True,
            )
            for q in questions
        ]
        with_video = [(clip, clip.frames) for clip in decoded if clip.frames is not None]
        factor = video.patch_size * video.merge_size
        batch = processor(
            text=texts,
            videos=[_resize_to_patches(frames, factor) for _, frames in with_video] or None,
            audio=[s.sound for s in decoded if s.sound is not None] or None,
            videos_kwargs={"do_resize": False, "do_sample_frames": False},
            padding=True,
            return_tensors="pt",
        )
        if with_video:
            # The processor knows one rate for all; placeholders do not depend on it, positions in time do.
            batch["video_second_per_grid"] = torch.tensor(
                [video.temporal_patch_size * clip.seconds / len(frames) for clip, frames in with_video]
            )
        if with_video and "video_grid_thw" not in batch:
            raise InvalidData("the teacher's processor ignores video", hint="use an omni model")
        return batch.to(self._model.device).to(self._model.dtype)


class GumbelSampler:
    """Turns scores (rows, vocabulary) into scores whose largest is a sample of their nucleus, by each row's own seed."""

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
    """Load model and processor of a staged folder, without a network. Raises `InvalidData` unless every tensor is restored."""
    import torch

    import runtime.models.patches  # noqa: F401  # isort: skip  before transformers looks for torchvision
    import transformers
    from transformers import AutoConfig, AutoProcessor

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    name = THINKERS.get(config.model_type) or next(iter(config.architectures or ()), "")
    model_class = getattr(transformers, name, None)
    if model_class is None:
        raise InvalidData(
            f"{folder} holds a model that transformers does not support: `{name or config.model_type}`"
        )
    own = config.get_text_config() if config.model_type not in THINKERS else None
    spread = {"device_map": "auto"} if torch.cuda.device_count() > 1 else {}
    model, info = model_class.from_pretrained(
        folder,
        **({} if own is not None else {"config": config.thinker_config}),
        local_files_only=True,
        dtype="auto",
        output_loading_info=True,
        **spread,
    )
    lost = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lost:
        raise InvalidData(f"{folder} lacks {len(lost)} tensors of the model, among them `{lost[0]}`")
    if not spread and torch.cuda.is_available():
        model.to("cuda")
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end a reply."""
    ends = model.generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    return [ends] if isinstance(ends, int) else list(ends)


def _reply(ids: list[int], prompt_tokens: int, seconds: float, tokenizer: Any, ends: list[int]) -> Reply:
    stop = next((n for n, token in enumerate(ids) if token in ends), None)
    kept = ids if stop is None else ids[:stop]
    text = tokenizer.decode(kept, skip_special_tokens=True)
    written = len(ids) if stop is None else stop + 1
    return Reply(text, prompt_tokens, written, seconds, "length" if stop is None else "stop")


def _resize_to_patches(frames: NDArray[np.uint8], factor: int) -> torch.Tensor:
    """Return frames (T, height, width, RGB) as (T, RGB, height, width), with sides rounded to multiples of `factor`."""
    import torch

    video = torch.from_numpy(frames).permute(0, 3, 1, 2)
    sides = [max(factor, round(side / factor) * factor) for side in video.shape[2:]]
    if sides == list(video.shape[2:]):
        return video
    scaled = torch.nn.functional.interpolate(video.float(), size=sides, mode="bicubic", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
