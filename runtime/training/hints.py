"""Hard samples in GRPO: their groups are generated again with the true polarity pre-positioned, kept, or dropped.

METHOD 1.8, after the paper's hint-guided sampling:

    for each clip   sample G answers, reward them; the group is hard if every total is below the threshold
    hint            generate all G again from prompt + hint; an answer is hint + what was generated; the hint's tokens
                    are forced and carry no loss, no KL and no length; the group is replaced whole, never mixed
    keep            go on with the group as it is (the paper's "w/o Hint")
    drop            the group has no advantage, no loss and no part in any mean (the paper's "w/o Hard")

It rides on `rollout_func`, which TRL calls experimental: called as `rollout_func(prompts, trainer)`, it returns prompt
and completion ids and `env_mask`, 0 where a token is attended to but has no loss. Rewards are gathered over ranks
before a group is judged, and where one rank must generate again, all do, with a row to spare if need be: a collective
operation that one rank skips would hang the others.

Logged: `reward/unhinted` and `reward/<name>` are means over the first answers, what the policy earns by itself under
every policy of hints; `reward/hinted` is the mean over answers to hints, `hint/groups` the share of groups hinted,
`hard/groups` the share of groups found hard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from c2f_spec.errors import StageSpecWrong
from runtime.training.batches import media_batch
from runtime.training.grpo import OmniGRPOTrainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.training.rows import Reader

MARGIN = 1e-6
"""Totals are float32; a total that equals the threshold must not fall below it by rounding."""


@dataclass(frozen=True, slots=True)
class HardSamples:
    """What happens to them."""

    policy: Literal["hint", "keep", "drop"]
    threshold: float | None
    """A group is hard if all its totals are below it; `None`, only where all are kept: no group is judged."""
    hint: Callable[[str], str]
    """Clip id -> start of the answer."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled answer, for people to look at."""

    clip: str
    completion: str
    rewards: dict[str, float]
    hinted: bool


def assert_token_prefix(tokenizer: Any, hint: str, rest: str) -> None:
    """The tokens of `hint` must not depend on what follows. Raises `StageSpecWrong` if they do.

    Otherwise a hint would end in a token that no fine-tuned answer has at that place (METHOD 1.8).
    """
    alone = tokenizer.encode(hint, add_special_tokens=False)
    whole = tokenizer.encode(hint + rest, add_special_tokens=False)
    if whole[: len(alone)] != alone:
        raise StageSpecWrong(
            f"the hint {hint!r} is not a token prefix of an answer under this student's tokenizer",
            hint="choose the other value of `grpo.hint.prefix_end`",
        )


def hard_groups(totals_N: torch.Tensor, generations: int, threshold: float) -> torch.Tensor:
    """Which groups have every total below `threshold`: (N,) -> (N / generations,), bool."""
    return (totals_N.view(-1, generations) < threshold - MARGIN).all(dim=1)


class HintGRPOTrainer(OmniGRPOTrainer):
    """`hard` says what happens to hard samples; `on_rollouts` is given the step and its sampled answers."""

    def __init__(
        self,
        *,
        reader: Reader,
        hard: HardSamples,
        on_rollouts: Callable[[int, list[Rollout]], None],
        **arguments: Any,
    ) -> None:
        super().__init__(reader=reader, **arguments)
        self.hard, self.on_rollouts = hard, on_rollouts
        self.dropped_N: torch.Tensor | None = None
        """Of all ranks' answers, which have no part in the update."""
        self.rollout_func = HintGRPOTrainer._rollout

    @staticmethod
    def _rollout(prompts: list[str], trainer: HintGRPOTrainer) -> dict[str, Any]:
        return trainer.roll_out(prompts)

    def roll_out(self, clips: list[str]) -> dict[str, Any]:
        """Answers for this rank's `clips`, each `num_generations` times in a row. n: this rank's, N: all ranks'."""
        self.dropped_N = None
        prompts, _, media = self._tokenize_prompts(clips)
        answers, _ = self._generate_single_turn(prompts, None, media, self.num_generations)
        rewards_NK = self._rewards(clips, answers)
        hard_N = self._hard(rewards_NK)
        first = self.accelerator.process_index * len(clips)
        hard_n = hard_N[first : first + len(clips)].tolist()
        self._log_first(rewards_NK, hard_N)

        masks = [[1] * len(answer) for answer in answers]
        if self.hard.policy == "hint" and bool(hard_N.any()):
            for i, hint, answer in self._answer_hints(
                clips, prompts, [i for i, is_hard in enumerate(hard_n) if is_hard]
            ):
                answers[i] = hint + answer
                masks[i] = [0] * len(hint) + [1] * len(answer)
            rewards_NK = self._rewards(clips, answers)
            self._log("reward/hinted", self._totals(rewards_NK)[hard_N].mean())
        elif self.hard.policy == "drop":
            masks = [
                [0] * len(mask) if is_hard else mask for mask, is_hard in zip(masks, hard_n, strict=True)
            ]
            self.dropped_N = hard_N

        hinted = [is_hard and self.hard.policy == "hint" for is_hard in hard_n]
        self._report(clips, answers, rewards_NK[first : first + len(clips)], hinted)
        return {"prompt_ids": prompts, "completion_ids": answers, "logprobs": None, "env_mask": masks}

    def _answer_hints(
        self, clips: Sequence[str], prompts: Sequence[list[int]], hard: Sequence[int]
    ) -> list[tuple[int, list[int], list[int]]]:
        """(row, tokens of the hint, tokens generated after it) for each row in `hard`; called by all ranks alike."""
        chosen = list(hard) or [
            0
        ]  # with nothing to hint, a row is generated for the others' sake and thrown away
        hints = [self._tokenizer.encode(self.hard.hint(clips[i]), add_special_tokens=False) for i in chosen]
        answers, _ = self._generate_single_turn(
            [prompts[i] + hint for i, hint in zip(chosen, hints, strict=True)],
            None,
            media_batch([self.rows[i] for i in chosen]),
            self.num_generations,
        )
        return list(zip(chosen, hints, answers, strict=True))[: len(hard)]

    def _hard(self, rewards_NK: torch.Tensor) -> torch.Tensor:
        """Whether each answer is of a hard group: (N,), bool."""
        if self.hard.threshold is None:
            return torch.zeros(len(rewards_NK), dtype=torch.bool, device=rewards_NK.device)
        groups = hard_groups(self._totals(rewards_NK), self.num_generations, self.hard.threshold)
        return groups.repeat_interleave(self.num_generations)

    def _rewards(self, clips: Sequence[str], answers: Sequence[list[int]]) -> torch.Tensor:
        """(N, rewards), gathered over ranks."""
        texts = self.processing_class.batch_decode(answers, skip_special_tokens=True)
        rewards_NK: torch.Tensor = super()._calculate_rewards(
            [{"prompt": clip} for clip in clips], list(clips), texts, list(answers)
        )
        return rewards_NK

    def _totals(self, rewards_NK: torch.Tensor) -> torch.Tensor:
        totals_N: torch.Tensor = (rewards_NK * self.reward_weights.to(rewards_NK.device)).sum(dim=1)
        return totals_N

    def _calculate_rewards(self, *arguments: Any) -> torch.Tensor:
        """Of the answers that the update uses. A row of NaN has no advantage and no part in TRL's means."""
        rewards_NK: torch.Tensor = super()._calculate_rewards(*arguments)
        if self.dropped_N is not None:
            rewards_NK[self.dropped_N] = torch.nan
        return rewards_NK

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        kept = 1.0 if self.dropped_N is None else 1.0 - self.dropped_N.float().mean().item()
        output["kept"] = torch.tensor(kept, device=self.accelerator.device)
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """`grpo` and `dr_grpo` divide by the number of answers, which includes the dropped ones; undone here."""
        loss = super()._compute_loss(model, inputs)
        if self.loss_type in ("grpo", "dr_grpo") and 0 < inputs["kept"] < 1:
            loss = loss / inputs["kept"]
        return loss

    def _log(self, name: str, value: torch.Tensor) -> None:
        self._metrics["train"][name].append(value.item())

    def _log_first(self, rewards_NK: torch.Tensor, hard_N: torch.Tensor) -> None:
        self._log("reward/unhinted", self._totals(rewards_NK).mean())
        for name, value in zip(self.reward_func_names, rewards_NK.mean(dim=0), strict=True):
            self._log(f"reward/{name}", value)
        if self.hard.threshold is not None:
            self._log("hard/groups", hard_N.float().mean())
        self._log("hint/groups", hard_N.float().mean() * (self.hard.policy == "hint"))

    def _report(
        self,
        clips: Sequence[str],
        answers: Sequence[list[int]],
        rewards_nK: torch.Tensor,
        hinted: Sequence[bool],
    ) -> None:
        texts = self.processing_class.batch_decode(answers, skip_special_tokens=True)
        rewards = [dict(zip(self.reward_func_names, row, strict=True)) for row in rewards_nK.tolist()]
        step = self.state.global_step
        self.on_rollouts(step, [Rollout(*each) for each in zip(clips, texts, rewards, hinted, strict=True)])
