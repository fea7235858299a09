"""Rules on training and on what generates (METHOD 8.1, 8.4)."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, get_args

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.spec.base import at_default
from c2f_spec.spec.evaluate import VllmEngine
from c2f_spec.spec.resources import Guard
from c2f_spec.spec.sections import Full, QwenOmni, VllmTeacher
from c2f_spec.spec.student import Lora, Tower, positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment


FULL_RATE = 2e-6
"""Peak learning rate above which full-parameter GRPO of a 7B model is unheard of (METHOD 8.1: recipes use 1e-6)."""

HEADS: dict[str, tuple[int, int]] = {
    "qwen2.5-omni-7b": (28, 4),
    "qwen2.5-omni-3b": (16, 2),
    "qwen3-omni-30b-a3b": (32, 4),
}
"""Query and key-value heads of the text model, by the start of the repository's name: the models' config.json."""


def full_tuning_is_slow_tuning(e: Experiment) -> Iterator[Problem]:
    g = e.grpo
    if g and isinstance(e.student, QwenOmni) and isinstance(g.tuner, Full) and g.learning_rate > FULL_RATE:
        message = f"{g.learning_rate:g} is a learning rate for LoRA; full-parameter GRPO uses about 1e-6"
        hint = "set `tuner: lora`, or lower the rate to 2e-6 or less"
        yield Problem("C2F360", ("grpo", "learning_rate"), message, hint, severity="warning")


def answers_of_a_group_differ(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None:
        return
    if e.grpo.temperature == 0:
        field, default = "temperature", "the default is 1"
    elif e.grpo.top_k == 1:
        field, default = "top_k", "the default is 0: all tokens"
    else:
        return
    message = f"at `{field}: {getattr(e.grpo, field):g}` all answers of a group are the same: no advantage"
    yield Problem("C2F361", ("grpo", field), message, default)


def prompts_and_answers_fit(e: Experiment) -> Iterator[Problem]:
    most = positions(e.student)
    if e.sft and e.sft.max_tokens and e.sft.max_tokens > most:
        message = f"examples of {e.sft.max_tokens} tokens, and the student takes {most}"
        yield Problem("C2F362", ("sft", "max_tokens"), message, "lower it")
    if e.grpo:
        total = (e.grpo.max_prompt_tokens or 0) + e.grpo.max_new_tokens
        if total > most:
            message = f"prompt and answer of {total} tokens together, and the student takes {most}"
            yield Problem("C2F363", ("grpo", "max_new_tokens"), message, "lower one of them")
    if e.evaluate and e.evaluate.decoding.max_new_tokens >= most:
        message = f"answers of {e.evaluate.decoding.max_new_tokens} tokens, and the student takes {most}, prompt included"
        yield Problem("C2F364", ("evaluate", "decoding", "max_new_tokens"), message, "lower it")


def batches_can_be_shared(e: Experiment) -> Iterator[Problem]:
    """Rows of a step over GPUs: whole ones, and in GRPO whole answers."""
    for name, asked, batch, each in (
        ("sft", e.resources.sft, e.sft.batch if e.sft else 0, 1),
        ("grpo", e.resources.grpo, e.grpo.batch if e.grpo else 0, e.grpo.generations if e.grpo else 1),
    ):
        world = (asked.gpus or 1) * (asked.nodes or 1) if asked else 1
        if batch * each % world:
            what = "`batch` times `generations`" if name == "grpo" else "`batch`"
            message = f"{what} is {batch * each}, which {world} GPUs cannot share"
            hint = f"make `batch` a multiple of {world // gcd(world, each)}"
            yield Problem("C2F365", (name, "batch"), message, hint)


def resources_belong_to_a_section(e: Experiment) -> Iterator[Problem]:
    for name, section in (("distil", e.teacher), ("sft", e.sft), ("grpo", e.grpo), ("evaluate", e.evaluate)):
        if getattr(e.resources, name) is not None and section is None:
            message = f"resources for `{name}`, which this experiment does not run"
            yield Problem("C2F366", ("resources", name), message, "remove them", at_key=True)


def heads_can_be_shared(e: Experiment) -> Iterator[Problem]:
    student = e.student.model if isinstance(e.student, QwenOmni) else ""
    asked: list[tuple[str, str, int]] = []
    if isinstance(e.teacher, VllmTeacher):
        asked.append(("teacher", e.teacher.model, e.teacher.tensor_parallel))
    for name in ("grpo", "evaluate"):
        section = getattr(e, name)
        if section and isinstance(section.engine, VllmEngine):
            asked.append((name, student, section.engine.tensor_parallel))
    for name, model, ways in asked:
        start = model.lower().rpartition("/")[2]
        heads = next((h for known, h in HEADS.items() if start.startswith(known)), None)
        if heads and any(h % ways for h in heads):
            loc = (name, "tensor_parallel") if name == "teacher" else (name, "engine", "tensor_parallel")
            message = f"{ways} GPUs cannot share {heads[0]} query heads and {heads[1]} key-value heads evenly"
            yield Problem("C2F367", loc, message, "use 1, 2 or 4" if heads[1] == 4 else "use 1 or 2")


def checkpoints_fall_into_training(e: Experiment) -> Iterator[Problem]:
    """Each section by itself; how many steps epochs are is known when the data are."""
    every = e.checkpoints.every
    for name, section in (("sft", e.sft), ("grpo", e.grpo)):
        if every is not None and section and section.steps is not None and every > section.steps:
            message = f"`{name}` ends after {section.steps} steps, before its first checkpoint"
            hint = f"lower it to {section.steps} or less"
            yield Problem("C2F368", ("checkpoints", "every"), message, hint, severity="warning")


def guard_has_something_to_judge(e: Experiment) -> Iterator[Problem]:
    usual = at_default(Guard)
    loc: tuple[str, ...] = ("guard",)
    if e.guard != usual and e.grpo is None:
        message = "`guard` says when `grpo` is given up, and there is no `grpo`"
        hint = "remove it; a loss that is not finite ends `sft`, too"
    elif e.grpo and e.guard.min_format not in (None, usual.min_format) and e.grpo.rewards.format is None:
        loc = ("guard", "min_format")
        message = "the share of answers in the format is known only where it is rewarded"
        hint = "add `grpo.rewards.format`, or write `min_format: null`"
    else:
        return
    yield Problem("C2F369", loc, message, hint)


def rewards_are_normalised_one_way(e: Experiment) -> Iterator[Problem]:
    if e.grpo and e.grpo.aggregate == "normalise_then_sum" and e.grpo.scale != "group":
        message = f"`normalise_then_sum` divides each reward by its group's deviation, so `{e.grpo.scale}` has no use"
        yield Problem(
            "C2F370", ("grpo", "scale"), message, "remove `scale`, or write `aggregate: sum_then_normalise`"
        )


def towers_are_trained_whole(e: Experiment) -> Iterator[Problem]:
    if not isinstance(e.student, QwenOmni) or len(e.student.frozen) == len(get_args(Tower)):
        return
    for name in ("sft", "grpo"):
        section = getattr(e, name)
        if section and isinstance(section.tuner, Lora):
            message = f"`{name}.tuner: lora` trains adapters of the text model, and the towers would stay as they are"
            hint = "write `tuner: full`, or freeze both towers, which is the default"
            yield Problem("C2F376", ("student", "frozen"), message, hint)


def server_has_an_address(e: Experiment) -> Iterator[Problem]:
    engine = e.grpo.engine if e.grpo else None
    if isinstance(engine, VllmEngine) and (engine.mode == "server") != (engine.url is not None):
        message = "vLLM as a server is asked at an address, and there is none"
        hint = "add `url: http://host:8000`"
        if engine.url is not None:
            message, hint = (
                "an address of a server, and vLLM runs on the GPUs of the stage",
                "add `mode: server`",
            )
        yield Problem("C2F377", ("grpo", "engine"), message, hint)


def frames_can_have_a_size(e: Experiment) -> Iterator[Problem]:
    least, most = e.media.min_pixels, e.media.max_pixels
    if least is not None and least > most:
        message = f"a frame of at least {least} pixels, and of at most {most}"
        yield Problem("C2F380", ("media", "min_pixels"), message, "lower it, or raise `max_pixels`")


def interleaved_sound_is_generated_from(e: Experiment) -> Iterator[Problem]:
    if e.media.audio != "in_video":
        return
    for name, section in (("grpo", e.grpo), ("evaluate", e.evaluate)):
        if section is not None and isinstance(section.engine, VllmEngine):
            message = (
                f"`{name}.engine: vllm` takes sound as an item of its own, and `media.audio` interleaves it"
            )
            yield Problem(
                "C2F381", ("media", "audio"), message, "set `audio: item`, or `engine: transformers`"
            )
            return


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    full_tuning_is_slow_tuning,
    answers_of_a_group_differ,
    prompts_and_answers_fit,
    batches_can_be_shared,
    resources_belong_to_a_section,
    heads_can_be_shared,
    checkpoints_fall_into_training,
    guard_has_something_to_judge,
    rewards_are_normalised_one_way,
    towers_are_trained_whole,
    server_has_an_address,
    frames_can_have_a_size,
    interleaved_sound_is_generated_from,
)
