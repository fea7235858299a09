"""TRL's trainer with a policy of hints. `runtime/training/README.md` lists the functions of a step in order.

TRL calls `roll_out` through `rollout_func`, which it calls experimental: given prompts and the trainer it returns prompt and
completion ids and `env_mask`, 0 for tokens that are attended to but have no loss. Answers that are added to a group make
more rows than TRL has prompts, so `_generate` extends the prompts, which TRL reads again afterwards.

Hard samples are treated by `hard_policy`:

    hint    generate again from prompt + hint; an answer is the hint and what was generated. Where that saves time, hinted
            answers are generated together with the first ones (`schedule.groups_to_hint_early`)
    keep    go on with the group as it is (paper, "w/o Hint")
    drop    the group has no advantage, no loss and no part in any mean (paper, "w/o Hard")

Rewards are gathered over ranks before triggers decide, and where one rank generates again, all do, with a spare row if
need be: a collective operation that one rank skips would hang the others. All that follows from the gathered tables every
rank computes for itself, alike.

Shapes: n answers of this rank, N of all ranks, K rewards, F facts, M groups, B rows of a pass, T tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object

from c2f_spec.spec.hint import ReplaceAll, SftLoss
from runtime.models.batches import positions_batch
from runtime.training.grpo_trainer import OmniGRPOTrainer
from runtime.training.hints import answer_metrics, groups, rollout_batch
from runtime.training.hints.answer_metrics import GroupResults
from runtime.training.hints.history import History
from runtime.training.hints.rollout_batch import (
    AnswerTokens,
    FirstAnswers,
    GenerationRequest,
    HintedAnswers,
    Rollout,
    UpdateBatch,
    build_update_batch,
)
from runtime.training.hints.schedule import BREAK_EVEN_ROWS, decide_groups, groups_to_hint_early
from runtime.training.hints.triggers import still_bad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runtime.models.rows import Reader
    from runtime.training.hints.schedule import HintPolicy


class HintGRPOTrainer(OmniGRPOTrainer):
    """GRPO with hints: `policy` treats hard samples; `on_rollouts` gets the step and this rank's answers."""

    def __init__(
        self,
        *,
        reader: Reader,
        policy: HintPolicy,
        on_rollouts: Callable[[int, list[Rollout]], None],
        **arguments: Any,
    ) -> None:
        super().__init__(reader=reader, **arguments)
        self.policy, self.on_rollouts = policy, on_rollouts
        self.history = History()
        self.update: UpdateBatch | None = None
        self._inputs: list[dict[str, Any]] = []
        self._logps_BT: torch.Tensor | None = None
        self.rollout_func = HintGRPOTrainer._rollout

    # ---- counters of a checkpoint

    def counters(self) -> dict[str, Any]:
        return {**super().counters(), "hints": self.history.to_json()}

    def restore_counters(self, counters: dict[str, Any]) -> None:
        super().restore_counters(counters)
        self.history = History.from_json(counters["hints"])

    # ---- overrides that TRL calls

    @staticmethod
    def _rollout(prompts: list[str], trainer: HintGRPOTrainer) -> dict[str, Any]:
        return trainer.roll_out(prompts)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._inputs = inputs = list(inputs)
        output = super()._generate_and_score_completions(inputs)
        assert self.update is not None
        output["used_share"] = torch.tensor(self.update.share, device=self.accelerator.device)
        hints = [own.answer.hint * own.in_update for own in self.update.rows]
        output["forced"] = torch.tensor(hints, device=self.accelerator.device)
        return output

    def _generate(self, prompts: list[str]) -> Any:
        """Generate, then extend the lists that TRL goes on with by the prompts of answers that are added to a group."""
        result = super()._generate(prompts)
        assert self.update is not None
        joined = [prompts[own.row] for own in self.update.rows[len(prompts) :]]
        prompts.extend(joined)
        self._inputs.extend({"prompt": clip} for clip in joined)
        return result

    def _calculate_rewards(self, *arguments: Any) -> torch.Tensor:
        """Return the rewards of the update's answers, which `roll_out` computed."""
        del arguments
        assert self.update is not None
        self.rewards_NK = self.update.rewards
        return self.rewards_NK

    def compute_advantages(self) -> torch.Tensor:
        assert self.update is not None
        spec = self.policy.spec
        apart = spec.normalise == "separate" and not isinstance(spec.group, ReplaceAll)
        parts_N = self.update.hinted if apart and bool(self.update.hinted.any()) else None
        weights_K = self.reward_weights.to(self.rewards_NK.device)
        result: torch.Tensor = self.normalise(self.rewards_NK, weights_K, self.update.groups, parts_N)
        return result

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*arguments, **options)
        self._logps_BT = result[0]
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Return TRL's loss, plus the loss on forced tokens.

        `grpo` and `dr_grpo` divide by the number of rows; rows that are not in the update are taken out of it again.
        """
        loss = super()._compute_loss(model, inputs)
        partial = 0 < inputs["used_share"] < 1
        if self.loss_type in ("grpo", "dr_grpo") and partial:
            loss = loss / inputs["used_share"]
        forced = self.policy.spec.forced_loss
        if isinstance(forced, SftLoss) and bool(inputs["forced"].any()):
            assert self._logps_BT is not None
            entropy = rollout_batch.forced_cross_entropy(self._logps_BT, inputs["forced"])
            entropy = entropy / inputs["used_share"] if partial else entropy
            loss = loss + forced.coef * entropy / self.current_gradient_accumulation_steps
        self._logps_BT = None
        return loss

    # ---- the answers of a step

    def roll_out(self, clips: list[str]) -> dict[str, Any]:
        """Generate, reward, hint and select this rank's answers to `clips`, which repeat each `num_generations` times."""
        samples = self._group_clips(clips)
        at = {"step": self.state.global_step, "steps": self.state.max_steps}
        shape = groups.StepShape(self.num_generations, len(clips), self.accelerator.num_processes)
        alone = BREAK_EVEN_ROWS[self.accelerator.device.type]
        early = groups_to_hint_early(self.policy, self.history, samples, shape, alone, **at)
        first, with_hint = self._generate_first_answers(clips, shape, early)
        results = self._group_results(first.rewards, first.facts, self.num_generations)
        hard, is_hinted, metrics = decide_groups(self.policy, self.history, results, samples, **at)
        self._log(metrics)
        hinted = [group for group, yes in enumerate(is_hinted) if yes]
        assert not early or set(hinted) <= set(early), "a group is hinted that was not eligible"
        if not early:
            with_hint = self._generate_hinted_answers(first, hinted)
        dropped = {g for g, is_hard in enumerate(hard) if is_hard and self.policy.spec.hard_policy == "drop"}
        bad = self._still_bad_groups(with_hint, hinted)
        use_hinted = set(hinted) if self.policy.spec.if_still_bad == "keep_hinted" else set(hinted) - bad
        if self.policy.spec.if_still_bad == "skip":
            dropped |= bad
        return self._build_update(first, with_hint, use_hinted, dropped)

    def _generate_first_answers(
        self, clips: list[str], shape: groups.StepShape, early: Sequence[int]
    ) -> tuple[FirstAnswers, HintedAnswers]:
        """Generate and reward the first answers, and in the same generation the hinted answers of the `early` groups."""
        prompts, _, _ = self._tokenize_prompts(clips)
        rank = self.accelerator.process_index
        slots = groups.hinted_slots(self.policy.spec.group, shape, early)
        requests = [GenerationRequest(i, prompt, []) for i, prompt in enumerate(prompts)]
        requests += [self._hinted_request(clips, prompts, slot.row) for slot in slots[rank]]
        answers = self._generate_answers(requests)
        unhinted, hinted = answers[: len(clips)], answers[len(clips) :]
        first = FirstAnswers(rank, shape, clips, prompts, unhinted, *self._rewards_and_facts(clips, unhinted))
        return first, self._reward_hinted(first, slots, hinted)

    def _group_clips(self, clips: Sequence[str]) -> list[str]:
        """Return the clip of each group of all ranks."""
        everyone: list[str] = gather_object(list(clips))
        samples = everyone[:: self.num_generations]
        for i, clip in enumerate(everyone):
            assert clip == samples[i // self.num_generations], "answers of a clip are not consecutive"
        return samples

    def _generate_hinted_answers(self, first: FirstAnswers, hinted: Sequence[int]) -> HintedAnswers:
        """Generate and reward the hinted answers of the `hinted` groups; called by all ranks alike."""
        slots = groups.hinted_slots(self.policy.spec.group, first.shape, hinted)
        if not any(slots):
            return self._reward_hinted(first, slots, [])
        # A rank with nothing to hint generates a row with the others, and drops it.
        rows = [slot.row for slot in slots[first.rank]] or [0]
        answers = self._generate_answers(
            [self._hinted_request(first.clips, first.prompts, row) for row in rows]
        )
        return self._reward_hinted(first, slots, answers[: len(slots[first.rank])])

    def _hinted_request(
        self, clips: Sequence[str], prompts: Sequence[list[int]], row: int
    ) -> GenerationRequest:
        hint = self._tokenizer.encode(self.policy.hint(clips[row]), add_special_tokens=False)
        return GenerationRequest(row, prompts[row], hint)

    def _generate_answers(self, requests: Sequence[GenerationRequest]) -> list[AnswerTokens]:
        """Return one answer to each request, from one generation."""
        tokens, logprobs = self._generate_single_turn(
            [each.prompt + each.hint for each in requests],
            None,
            positions_batch([self.rows[each.row] for each in requests]),
            1,
        )
        return [
            AnswerTokens(
                each.hint + ids,
                len(each.hint),
                [None] * len(each.hint) + logprobs[i] if logprobs is not None else None,
            )
            for i, (each, ids) in enumerate(zip(requests, tokens, strict=True))
        ]

    def _reward_hinted(
        self, first: FirstAnswers, slots: list[list[groups.Slot]], own: list[AnswerTokens]
    ) -> HintedAnswers:
        """Reward this rank's hinted answers, with spare rows up to the most of any rank, because tables are gathered."""
        width = max(len(of_rank) for of_rank in slots)
        if width == 0:
            return HintedAnswers(slots, 0, [], first.rewards[:0], first.facts[:0])
        spare = width - len(own)
        clips = [first.clips[slot.row] for slot in slots[first.rank]] + first.clips[:1] * spare
        return HintedAnswers(
            slots, width, own, *self._rewards_and_facts(clips, own + first.answers[:1] * spare)
        )

    def _still_bad_groups(self, with_hint: HintedAnswers, hinted: Sequence[int]) -> set[int]:
        """Return the `hinted` groups that are hard in spite of the hint, and log the hinted answers."""
        if not hinted:
            return set()
        order = [i for rows in groups.slot_rows(with_hint.slots, with_hint.width, hinted) for i in rows]
        size = groups.hinted_per_group(self.policy.spec.group, self.num_generations)
        results = self._group_results(with_hint.rewards[order], with_hint.facts[order], size)
        self._log(answer_metrics.hinted_answer_metrics(results))
        bad = still_bad(self.policy.spec.trigger, results).tolist()
        return {group for group, is_bad in zip(hinted, bad, strict=True) if is_bad}

    def _build_update(
        self, first: FirstAnswers, with_hint: HintedAnswers, use_hinted: set[int], dropped: set[int]
    ) -> dict[str, Any]:
        """Return the update for TRL: hinted answers of the `use_hinted` groups, and no part for the `dropped`."""
        update = build_update_batch(
            first,
            with_hint,
            frozenset(use_hinted),
            frozenset(dropped),
            passes=self.args.steps_per_generation,
            end=self._tokenizer.eos_token_id,
        )
        names = self.reward_func_names
        if self.policy.spec.polarity_reward_on_hinted == "exclude" and "polarity" in names:
            update.rewards[update.hinted, names.index("polarity")] = torch.nan
        self.update = update
        self._log(answer_metrics.trained_answer_metrics(update.rewards, self.reward_weights, update.groups))
        self._log_rollouts(update, first)
        self.rows = [self.rows[own.row] for own in update.rows]
        loss = self.policy.spec.forced_loss
        has_logprobs = first.answers[0].logprobs is not None
        return {
            "prompt_ids": [first.prompts[own.row] for own in update.rows],
            "completion_ids": [own.answer.tokens for own in update.rows],
            "logprobs": [own.answer.logprobs for own in update.rows] if has_logprobs else None,
            "env_mask": [rollout_batch.loss_mask(loss, own) for own in update.rows],
        }

    def _rewards_and_facts(
        self, clips: Sequence[str], answers: Sequence[AnswerTokens]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rewards (N, K) and facts (N, F), gathered over ranks with equally many answers each."""
        ids = [answer.tokens for answer in answers]
        texts = self.processing_class.batch_decode(ids, skip_special_tokens=True)
        inputs = [{"prompt": clip} for clip in clips]
        rewards_NK: torch.Tensor = super()._calculate_rewards(inputs, list(clips), texts, ids)
        facts = [
            (*self.policy.facts(clip, text), len(a.tokens) - a.hint, a.tokens[-1] not in self.eos_token_ids)
            for clip, text, a in zip(clips, texts, answers, strict=True)
        ]
        table_nF = torch.tensor(facts, dtype=torch.float32, device=self.accelerator.device)
        facts_NF: torch.Tensor = self.accelerator.gather(table_nF)
        return rewards_NK, facts_NF

    def _group_results(self, rewards_NK: torch.Tensor, facts_NF: torch.Tensor, size: int) -> GroupResults:
        return GroupResults.from_answers(
            rewards_NK, facts_NF, self.reward_weights, self.reward_func_names, size
        )

    # ---- logs

    def _log(self, values: Iterable[tuple[str, float]]) -> None:
        for name, value in values:
            self._metrics["train"][name].append(value)

    def _log_rollouts(self, update: UpdateBatch, first: FirstAnswers) -> None:
        own = [each for each in update.rows if not each.blank]
        texts = self.processing_class.batch_decode(
            [each.answer.tokens for each in own], skip_special_tokens=True
        )
        rollouts = []
        for each, text in zip(own, texts, strict=True):
            rewards = dict(zip(self.reward_func_names, each.rewards, strict=True))
            rollouts.append(Rollout(first.clips[each.row], text, rewards, each.answer.hint > 0))
        self.on_rollouts(self.state.global_step, rollouts)
