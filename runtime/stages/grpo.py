"""The stage `grpo`: reinforcement learning from the fine-tuned student, with named rewards and hints for hard samples.

Paper, eq. 2 to 5 and hint-guided sampling; METHOD 1.2 to 1.8. The reference model is the start model, or the untouched
student. `runtime/training/README.md` lists the functions of a step in order, `runtime.training.hints.answer_metrics` the metrics.

Inputs: `prepare`; `start`, the model to start from, or none for the base student (then `weights`, if it has released
ones). Output: `model/`, `metrics.jsonl`, `rollouts.jsonl` with one group of answers a step,
`hints.jsonl` with what happened to each clip (`runtime.training.hints.history`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.grpo import Grpo, Rewards
from c2f_spec.spec.sections import Student as StudentSpec
from c2f_spec.spec.student import positions
from runtime.console import log_line
from runtime.generation.vllm_requests import Sampling, assert_installed
from runtime.generation.vllm_rollout import engine_factory
from runtime.models import MODELS
from runtime.models.thinker import Student, save, suppressed_tokens
from runtime.rewards import REWARDS
from runtime.rewards.truth import Truth
from runtime.text.chains import AnyFormat, parse_answer
from runtime.text.clips import write_jsonl
from runtime.training.advantages import advantages
from runtime.training.grpo_trainer import GRPOConfig, kl_term
from runtime.training.hints import answer_metrics, groups, history
from runtime.training.hints.build_policy import (
    HintsPossibleCheck,
    build_policy,
    load_offline_list,
    longest_hint_tokens,
)
from runtime.training.hints.trainer import HintGRPOTrainer
from runtime.training.metrics_callback import MetricsCallback
from runtime.training.select import train_and_save
from runtime.training.trainer_arguments import split_batch, trainer_arguments
from runtime.training.tuner import adapters, freeze_and_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.models.rows import Reader
    from runtime.process.context import Context
    from runtime.training.hints.rollout_batch import Rollout

TRL_AGGREGATES = {"sum_then_normalise": "sum_then_normalize", "normalise_then_sum": "normalize_then_sum"}
"""TRL's names of `grpo.aggregate`."""

MAX_NAMED_CLIPS = 20
"""Most clips that a line of the log names."""

METRICS = {  # documented in runtime/training/hints/answer_metrics.py
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "kl": "kl",
    **{name: name for name in answer_metrics.metric_names(list(REWARDS))},
}


def run(ctx: Context) -> dict[str, Any]:
    grpo: Grpo = ctx.section("grpo", Grpo)
    spec = ctx.section("student", StudentSpec)
    if ctx.stage.placement.vllm is not None:
        assert_installed()
    kind = MODELS[spec.kind]
    student = load_start_model(ctx, spec)
    reader = freeze_and_read(ctx, grpo.tuner, student, kind.frozen(spec))
    clips = reader.ids("train")
    for clip in clips:
        reader.assert_plain(clip)
    if grpo.batch > len(clips):
        raise InvalidData(
            f"`grpo.batch` is {grpo.batch}, and the training split has {len(clips)} clips",
            hint="lower `grpo.batch`, or raise `data.limit.train`: the clips of a step are distinct",
        )
    functions, weights = reward_functions(grpo.rewards, ctx.format, reader)
    rows, passes = split_batch(
        grpo.batch * grpo.generations, ctx.world, ctx.stage.placement.micro_batch or kind.rows_trained
    )
    longest = grpo.max_prompt_tokens or positions(spec) - grpo.max_new_tokens
    sampling = Sampling(grpo.max_new_tokens, grpo.temperature, grpo.top_p, grpo.top_k)
    reference = None
    if grpo.reference == "base":
        reference = kind.base(spec, ctx.seed, ctx.inputs.get("weights")).model
    watch = MetricsCallback(ctx, METRICS, score="reward/unhinted")
    listed = load_offline_list(grpo.hint.trigger, ctx.stage.placement.hard_samples)
    policy = build_policy(grpo, ctx.format, reader, student.tokenizer, ctx.seed, listed)
    forced = longest_hint_tokens(policy, clips, student.tokenizer)
    trainer = HintGRPOTrainer(
        reader=reader,
        policy=policy,
        on_rollouts=RolloutLog(ctx).write,
        normalise=partial(
            advantages, scale=grpo.scale, std=grpo.std, eps=grpo.std_eps, aggregate=grpo.aggregate
        ),
        reference=reference,
        longest_prompt=longest,
        engine=engine_factory(
            ctx,
            sampling,
            student.processor,
            longest=min(positions(spec), longest + forced + grpo.max_new_tokens),
            rows=groups.max_answers_per_generation(
                grpo.hint, groups.StepShape(grpo.generations, rows * passes, ctx.world)
            ),
        ),
        model=student.model,
        processing_class=student.processor,
        reward_funcs=functions,
        train_dataset=Dataset.from_dict({"prompt": clips}),
        callbacks=[watch, HintsPossibleCheck(grpo.hint)],
        peft_config=adapters(grpo.tuner, student.model),
        args=GRPOConfig(
            **trainer_arguments(ctx, grpo, student, rows=rows, passes=passes, half=kind.half(spec)),
            steps_per_generation=passes,  # all answers of a generation are one batch
            num_iterations=grpo.updates,  # with one, old and new policy are the same
            num_generations=grpo.generations,
            reward_weights=weights,
            **kl_term(grpo),
            epsilon=grpo.epsilon,
            epsilon_high=grpo.epsilon_high,
            loss_type=grpo.loss_type,
            scale_rewards=grpo.scale,
            multi_objective_aggregation=TRL_AGGREGATES[grpo.aggregate],  # for what TRL logs
            temperature=grpo.temperature,
            top_p=grpo.top_p,
            top_k=grpo.top_k,
            max_completion_length=grpo.max_new_tokens,
            generation_kwargs={"suppress_tokens": suppressed_tokens(student.tokenizer)},
        ),
    )
    summary = train_and_save(
        ctx, trainer, watch, reader, student, grpo.select,
        rows=kind.rows_generated, max_new_tokens=grpo.max_new_tokens,
    )  # fmt: skip
    if ctx.rank == 0:
        write_jsonl(ctx.out / history.FILE, trainer.history.rows(trainer.policy.polarity))
    return {"clips": len(clips), **summary, **summarize_hints(trainer.history)}


def summarize_hints(hints: history.History) -> dict[str, int]:
    """Return the number of clips that were hinted at every visit, and log their ids: they may be wrongly labelled."""
    always = hints.hinted_every_visit()
    if always:
        named = ", ".join(f"`{clip}`" for clip in always[:MAX_NAMED_CLIPS]) + (
            " …" if len(always) > MAX_NAMED_CLIPS else ""
        )
        log_line(f"hinted at every visit, {len(always)} of {len(hints.samples)} clips: {named}")
    return {"hinted_every_visit": len(always)} if any(s.hinted for s in hints.samples.values()) else {}


def load_start_model(ctx: Context, spec: Any) -> Student:
    """Load the start model, from a folder in any case: TRL loads the reference from the folder of the policy."""
    if "start" in ctx.inputs:
        return MODELS[spec.kind].load(spec, ctx.inputs["start"] / "model")
    folder = Path(ctx.stage.scratch) / f"base-{ctx.rank}"
    save(MODELS[spec.kind].base(spec, ctx.seed, ctx.inputs.get("weights")), folder)
    return MODELS[spec.kind].load(spec, folder)


def reward_functions(
    rewards: Rewards, fmt: AnyFormat, reader: Reader
) -> tuple[list[Callable[..., list[float]]], list[float]]:
    """Return the rewards that the spec names, as TRL calls them, and their weights."""
    named = [(name, section) for name in REWARDS if (section := getattr(rewards, name)) is not None]
    if not named:
        raise InvalidStageSpec(
            "`grpo.rewards` names no reward", hint="name at least one of " + ", ".join(REWARDS)
        )
    return [_function(name, section, fmt, reader) for name, section in named], [s.weight for _, s in named]


def _function(name: str, section: Any, fmt: AnyFormat, reader: Reader) -> Callable[..., list[float]]:
    def scored(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        """`prompts` are clip ids."""
        return [
            REWARDS[name](parse_answer(fmt, text), clip_truth(reader, clip), section)
            for clip, text in zip(prompts, completions, strict=True)
        ]

    scored.__name__ = name
    return scored


def clip_truth(reader: Reader, clip_id: str) -> Truth:
    clip = reader.clips[clip_id]
    return Truth(clip.polarity, clip.label, reader.low, reader.high, reader.family)


class RolloutLog:
    """Writes one group of answers a step to `rollouts.jsonl`."""

    def __init__(self, ctx: Context) -> None:
        self._path, self._main = ctx.out / "rollouts.jsonl", ctx.rank == 0

    def write(self, step: int, rollouts: list[Rollout]) -> None:
        """Write the first hinted group, or else the first."""
        if not self._main:
            return
        clip = next((each.clip for each in rollouts if each.hinted), rollouts[0].clip)
        with self._path.open("a", encoding="utf-8") as file:
            for each in rollouts:
                if each.clip == clip:
                    file.write(json.dumps({"step": step, **asdict(each)}, ensure_ascii=False) + "\n")
