"""Reinforcement learning from the fine-tuned student: GRPO with named rewards and a policy for hard samples.

Paper, eq. 2 to 5 and hint-guided sampling; METHOD 1.2 to 1.8. The reference model is the one it starts from, or the untouched
student.

What is logged, name by name: `runtime.training.hints.curves`.

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
from c2f_spec.spec.grpo import REWARD_NAMES, Grpo, Rewards
from c2f_spec.spec.sections import Student as StudentSpec
from c2f_spec.spec.student import positions
from runtime.console import log_line
from runtime.generation.vllm_requests import Sampling, assert_installed
from runtime.generation.vllm_rollout import started
from runtime.models import MODELS
from runtime.models.rows import Reader
from runtime.models.student import Student, freeze, save, suppressed
from runtime.rewards import REWARDS
from runtime.rewards.truth import Truth
from runtime.text.chains import AnyFormat, parse
from runtime.text.clips import write_jsonl
from runtime.training.advantages import advantages
from runtime.training.arguments import assert_alike, memory, shared, split_batch
from runtime.training.grpo import GRPOConfig
from runtime.training.hints import curves, groups, history
from runtime.training.hints.build_policy import Given, listed, longest_hint, policy_of
from runtime.training.hints.trainer import HintGRPOTrainer
from runtime.training.metrics_callback import Watch
from runtime.training.select import BestValid
from runtime.training.train import train
from runtime.training.tuner import adapters, save_trained, trains_towers, widen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.process.context import Context
    from runtime.training.hints.rollout_batch import Rollout

AGGREGATES = {"sum_then_normalise": "sum_then_normalize", "normalise_then_sum": "normalize_then_sum"}
"""`grpo.aggregate` in TRL's words."""

NAMED = 20
"""Clips in a line of the log."""

METRICS = {  # what they mean: runtime/training/hints/curves.py
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "kl": "kl",
    **{name: name for name in curves.names(REWARD_NAMES)},
}


def run(ctx: Context) -> dict[str, Any]:
    grpo: Grpo = ctx.section("grpo", Grpo)
    spec = ctx.section("student", StudentSpec)
    if ctx.stage.placement.vllm is not None:
        assert_installed()
    kind = MODELS[spec.kind]
    student = start(ctx, spec)
    freeze(student.model, kind.frozen(spec))
    zero = ctx.stage.placement.spread(ctx.world)
    widen(grpo.tuner, student.model, zero)

    reader = Reader.of(ctx, student.processor)
    assert_alike(zero, "grpo", reader.clips.values(), towers_trained=trains_towers(grpo.tuner, student.model))
    clips = reader.ids("train")
    for clip in clips:
        reader.assert_plain(clip)
    if grpo.batch > len(clips):
        raise InvalidData(
            f"`grpo.batch` is {grpo.batch}, and the training split has {len(clips)} clips",
            hint="a step takes so many different clips: lower `grpo.batch`, or raise `data.limit.train`",
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
    watch = Watch(ctx, METRICS, score="reward/unhinted")
    sampled = Sampled(ctx)
    known = listed(grpo.hint.trigger, ctx.stage.placement.hard_samples)
    policy = policy_of(grpo, ctx.format, reader, student.tokenizer, ctx.seed, known)
    forced = longest_hint(policy, clips, student.tokenizer)
    trainer = HintGRPOTrainer(
        reader=reader,
        policy=policy,
        on_rollouts=sampled.write,
        normalise=partial(
            advantages, scale=grpo.scale, std=grpo.std, eps=grpo.std_eps, aggregate=grpo.aggregate
        ),
        reference=reference,
        longest_prompt=longest,
        engine=started(
            ctx,
            sampling,
            student.processor,
            longest=min(positions(spec), longest + forced + grpo.max_new_tokens),
            rows=groups.at_once(grpo.hint, groups.Shape(grpo.generations, rows * passes, ctx.world)),
        ),
        model=student.model,
        processing_class=student.processor,
        reward_funcs=functions,
        train_dataset=Dataset.from_dict({"prompt": clips}),
        callbacks=[watch, Given(grpo.hint)],
        peft_config=adapters(grpo.tuner, student.model),
        args=GRPOConfig(
            **shared(ctx, grpo, student, rows=rows, passes=passes, half=kind.half(spec)),
            steps_per_generation=passes,  # all answers of a generation are one batch
            num_iterations=grpo.updates,  # with one, old and new policy are the same
            num_generations=grpo.generations,
            reward_weights=weights,
            beta=grpo.beta,
            use_bias_correction_kl=grpo.kl == "corrected",
            epsilon=grpo.epsilon,
            epsilon_high=grpo.epsilon_high,
            loss_type=grpo.loss_type,
            scale_rewards=grpo.scale,
            multi_objective_aggregation=AGGREGATES[grpo.aggregate],  # for what TRL logs
            temperature=grpo.temperature,
            top_p=grpo.top_p,
            top_k=grpo.top_k,
            max_completion_length=grpo.max_new_tokens,
            generation_kwargs={"suppress_tokens": suppressed(student.tokenizer)},
        ),
    )
    best = None
    if grpo.select == "best_valid":
        best = BestValid(
            ctx,
            trainer,
            reader,
            student.tokenizer,
            rows=kind.rows_generated,
            max_new_tokens=grpo.max_new_tokens,
        )
        trainer.add_callback(best)
    with memory("grpo"):
        train(ctx, trainer, watch)
    selected = best.take() if best else {}
    save_trained(trainer, student, ctx.out / "model")
    if ctx.rank == 0:
        write_jsonl(ctx.out / history.FILE, trainer.history.rows(trainer.policy.polarity))
    told = {"clips": len(clips), "steps": trainer.state.global_step, **watch.last, **selected}
    return told | told_of_hints(trainer.history)


def told_of_hints(seen: history.History) -> dict[str, int]:
    """A count for the summary, and names for the log: a sample that no visit finds easy may be wrongly labelled."""
    always = seen.every_visit()
    if always:
        named = ", ".join(f"`{clip}`" for clip in always[:NAMED]) + (" …" if len(always) > NAMED else "")
        log_line(f"hinted at every visit, {len(always)} of {len(seen.samples)} clips: {named}")
    return {"hinted_every_visit": len(always)} if any(s.hinted for s in seen.samples.values()) else {}


def start(ctx: Context, spec: Any) -> Student:
    """The model to start from. TRL loads the reference from the folder that the policy came from, so it needs one."""
    if "start" in ctx.inputs:
        return MODELS[spec.kind].load(spec, ctx.inputs["start"] / "model")
    folder = Path(ctx.stage.scratch) / f"base-{ctx.rank}"
    save(MODELS[spec.kind].base(spec, ctx.seed, ctx.inputs.get("weights")), folder)
    return MODELS[spec.kind].load(spec, folder)


def reward_functions(
    rewards: Rewards, fmt: AnyFormat, reader: Reader
) -> tuple[list[Callable[..., list[float]]], list[float]]:
    """The rewards that the spec names, as TRL calls them, and their weights."""
    named = [(name, section) for name in REWARD_NAMES if (section := getattr(rewards, name)) is not None]
    if not named:
        raise InvalidStageSpec(
            "`grpo.rewards` names no reward", hint="name at least one of " + ", ".join(REWARD_NAMES)
        )
    return [_function(name, section, fmt, reader) for name, section in named], [s.weight for _, s in named]


def _function(name: str, section: Any, fmt: AnyFormat, reader: Reader) -> Callable[..., list[float]]:
    def scored(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        """`prompts` are clip ids."""
        return [
            REWARDS[name](parse(fmt, text), truth(reader, clip), section)
            for clip, text in zip(prompts, completions, strict=True)
        ]

    scored.__name__ = name
    return scored


def truth(reader: Reader, clip_id: str) -> Truth:
    clip = reader.clips[clip_id]
    return Truth(clip.polarity, clip.label, reader.low, reader.high, reader.family)


class Sampled:
    """One group of answers a step, for `rollouts.jsonl`."""

    def __init__(self, ctx: Context) -> None:
        self._path, self._main = ctx.out / "rollouts.jsonl", ctx.rank == 0

    def write(self, step: int, rollouts: list[Rollout]) -> None:
        """The first hinted group, or else the first: hints are what people look for."""
        if not self._main:
            return
        shown = next((each.clip for each in rollouts if each.hinted), rollouts[0].clip)
        with self._path.open("a", encoding="utf-8") as file:
            for each in rollouts:
                if each.clip == shown:
                    file.write(json.dumps({"step": step, **asdict(each)}, ensure_ascii=False) + "\n")
