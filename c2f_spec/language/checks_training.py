"""Check training, engines and media (METHOD 2.7, 8.1, 8.2, 8.4)."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, get_args

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.keys import TRAINING
from c2f_spec.spec.base import at_default
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.resources import Guard
from c2f_spec.spec.sections import Full, QwenOmni, VllmTeacher
from c2f_spec.spec.student import Lora, Tower, positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment


MOST_FULL_RATE = 2e-6
"""Highest usual peak learning rate of full-parameter GRPO of a 7B model (METHOD 8.1: recipes use 1e-6)."""

HEADS: dict[str, tuple[int, int]] = {
    "qwen2.5-omni-7b": (28, 4),
    "qwen2.5-omni-3b": (16, 2),
    "qwen3-omni-30b-a3b": (32, 4),
}
"""Query and key-value heads of the text model, by the start of the repository's name: the models' config.json."""


def check_learning_rate(e: Experiment) -> Iterator[Problem]:
    g = e.grpo
    if (
        g
        and isinstance(e.student, QwenOmni)
        and isinstance(g.tuner, Full)
        and g.learning_rate > MOST_FULL_RATE
    ):
        message = (
            f"learning rate {g.learning_rate:g} is too high for full-parameter GRPO, which uses about 1e-6"
        )
        hint = "set `tuner: lora`, or lower `learning_rate` to 2e-6 or less"
        yield Problem("C2F360", ("grpo", "learning_rate"), message, hint, severity="warning")


def check_sampling(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None:
        return
    if e.grpo.temperature == 0:
        field, hint = "temperature", "raise `temperature` above 0; the default is 1"
    elif e.grpo.top_k == 1:
        field, hint = "top_k", "set `top_k` to 0 (all tokens, the default) or above 1"
    else:
        return
    message = f"with `{field}: {getattr(e.grpo, field):g}` all answers of a group are equal, so all advantages are 0"
    yield Problem("C2F361", ("grpo", field), message, hint)


def check_context_length(e: Experiment) -> Iterator[Problem]:
    most = positions(e.student)
    if e.sft and e.sft.max_tokens and e.sft.max_tokens > most:
        message = f"examples of {e.sft.max_tokens} tokens exceed the student's context length, {most}"
        yield Problem("C2F362", ("sft", "max_tokens"), message, f"lower `max_tokens` to {most} or less")
    if e.grpo:
        total = (e.grpo.max_prompt_tokens or 0) + e.grpo.max_new_tokens
        if total > most:
            message = f"prompt and answer of {total} tokens exceed the student's context length, {most}"
            hint = "lower `max_prompt_tokens` or `max_new_tokens`"
            yield Problem("C2F363", ("grpo", "max_new_tokens"), message, hint)
    if e.evaluate and e.evaluate.decoding.max_new_tokens >= most:
        message = f"answers of {e.evaluate.decoding.max_new_tokens} tokens and their prompts exceed the student's context length, {most}"
        yield Problem("C2F364", ("evaluate", "decoding", "max_new_tokens"), message, "lower `max_new_tokens`")


def check_batch_divides(e: Experiment) -> Iterator[Problem]:
    """Check that the rows of a step, in GRPO the answers, can be divided over the GPUs."""
    for name, requested, batch, each in (
        ("sft", e.resources.sft, e.sft.batch if e.sft else 0, 1),
        ("grpo", e.resources.grpo, e.grpo.batch if e.grpo else 0, e.grpo.generations if e.grpo else 1),
    ):
        world = (requested.gpus or 1) * (requested.nodes or 1) if requested else 1
        if batch * each % world:
            size = "`batch` times `generations`" if name == "grpo" else "`batch`"
            message = f"{size} is {batch * each}, which is not divisible by {world} GPUs"
            hint = f"set `batch` to a multiple of {world // gcd(world, each)}"
            yield Problem("C2F365", (name, "batch"), message, hint)


def check_unused_resources(e: Experiment) -> Iterator[Problem]:
    for name, section in (("distil", e.teacher), ("sft", e.sft), ("grpo", e.grpo), ("evaluate", e.evaluate)):
        if getattr(e.resources, name) is not None and section is None:
            message = f"`resources.{name}` has no effect: the spec has no stage `{name}`"
            yield Problem("C2F366", ("resources", name), message, f"remove `resources.{name}`", at_key=True)


def check_tensor_parallel(e: Experiment) -> Iterator[Problem]:
    student = e.student.model if isinstance(e.student, QwenOmni) else ""
    engines: list[tuple[str, str, int]] = []
    if isinstance(e.teacher, VllmTeacher):
        engines.append(("teacher", e.teacher.model, e.teacher.tensor_parallel))
    for name in ("grpo", "evaluate"):
        section = getattr(e, name)
        if section and isinstance(section.engine, VllmEngine):
            engines.append((name, student, section.engine.tensor_parallel))
    for name, model, gpus in engines:
        start = model.lower().rpartition("/")[2]
        heads = next((h for known, h in HEADS.items() if start.startswith(known)), None)
        if heads and any(h % gpus for h in heads):
            loc = (name, "tensor_parallel") if name == "teacher" else (name, "engine", "tensor_parallel")
            message = (
                f"{heads[0]} query heads and {heads[1]} key-value heads are not divisible by {gpus} GPUs"
            )
            yield Problem(
                "C2F367",
                loc,
                message,
                f"set `tensor_parallel` to {'1, 2 or 4' if heads[1] == 4 else '1 or 2'}",
            )


def check_checkpoint_interval(e: Experiment) -> Iterator[Problem]:
    """Check sections with `steps`; the steps of an epoch are known only with the data."""
    every = e.checkpoints.every
    for name, section in (("sft", e.sft), ("grpo", e.grpo)):
        if every is not None and section and section.steps is not None and every > section.steps:
            message = (
                f"`{name}` ends after {section.steps} steps, before its first checkpoint at step {every}"
            )
            hint = f"lower `checkpoints.every` to {section.steps} or less"
            yield Problem("C2F368", ("checkpoints", "every"), message, hint, severity="warning")


def check_guard(e: Experiment) -> Iterator[Problem]:
    default = at_default(Guard)
    loc: tuple[str, ...] = ("guard",)
    if e.guard != default and e.grpo is None:
        message = "`guard` has no effect: it stops `grpo`, and the spec has no `grpo`"
        hint = "remove `guard`; a loss that is not finite ends `sft` without it"
    elif e.grpo and e.guard.min_format not in (None, default.min_format) and e.grpo.rewards.format is None:
        loc = ("guard", "min_format")
        message = "`guard.min_format` needs the reward `format`, which is missing"
        hint = "add `grpo.rewards.format`, or set `min_format: null`"
    else:
        return
    yield Problem("C2F369", loc, message, hint)


def check_scale(e: Experiment) -> Iterator[Problem]:
    if e.grpo and e.grpo.aggregate == "normalise_then_sum" and e.grpo.scale != "group":
        message = f"`scale: {e.grpo.scale}` has no effect with `aggregate: normalise_then_sum`"
        hint = "remove `scale`, or set `aggregate: sum_then_normalise`"
        yield Problem("C2F370", ("grpo", "scale"), message, hint)


def check_frozen_towers(e: Experiment) -> Iterator[Problem]:
    if not isinstance(e.student, QwenOmni) or len(e.student.frozen) == len(get_args(Tower)):
        return
    for name in TRAINING:
        section = getattr(e, name)
        if section and isinstance(section.tuner, Lora):
            message = (
                f"`student.frozen` has no effect: `{name}.tuner: lora` trains adapters of the text model only"
            )
            hint = "set `tuner: full`, or remove `frozen`: by default both towers are frozen"
            yield Problem("C2F376", ("student", "frozen"), message, hint)


def check_server_url(e: Experiment) -> Iterator[Problem]:
    engine = e.grpo.engine if e.grpo else None
    if isinstance(engine, VllmEngine) and (engine.mode == "server") != (engine.url is not None):
        message, hint = (
            "missing `url`: `mode: server` needs the address of vLLM",
            "add `url: http://host:8000`",
        )
        if engine.url is not None:
            message = "`url` has no effect: with `mode: colocate` vLLM runs on the GPUs of the stage"
            hint = "set `mode: server`, or remove `url`"
        yield Problem("C2F377", ("grpo", "engine"), message, hint)


def check_frame_size(e: Experiment) -> Iterator[Problem]:
    least, most = e.media.min_pixels, e.media.max_pixels
    if least is not None and least > most:
        message = f"invalid range: `min_pixels: {least}` is greater than `max_pixels: {most}`"
        yield Problem("C2F380", ("media", "min_pixels"), message, "lower `min_pixels` or raise `max_pixels`")


def check_interleaved_audio(e: Experiment) -> Iterator[Problem]:
    if e.media.audio != "in_video":
        return
    for name, section in (("grpo", e.grpo), ("evaluate", e.evaluate)):
        if section is not None and isinstance(section.engine, VllmEngine):
            message = f"`audio: in_video` is not supported by `{name}.engine: vllm`"
            hint = f"set `media.audio: item`, or set `{name}.engine: transformers`"
            yield Problem("C2F381", ("media", "audio"), message, hint)
            return


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    check_learning_rate,
    check_sampling,
    check_context_length,
    check_batch_divides,
    check_unused_resources,
    check_tensor_parallel,
    check_checkpoint_interval,
    check_guard,
    check_scale,
    check_frozen_towers,
    check_server_url,
    check_frame_size,
    check_interleaved_audio,
)
