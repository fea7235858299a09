"""TRL's trainer with a policy of hints.

    for each clip   sample G answers, reward them, ask the trigger whether the sample is hard (`triggers`)
    hint            generate again from prompt + hint; an answer is hint + what was generated (`groups`, `forced`);
                    where that saves time, hinted answers are drawn beside the first ones (`decide.ahead`)
    keep            go on with the group as it is (paper, "w/o Hint")
    drop            the group has no advantage, no loss and no part in any mean (paper, "w/o Hard")

It rides on `rollout_func`, which TRL calls experimental: called as `rollout_func(prompts, trainer)`, it returns prompt
and completion ids and `env_mask`, 0 where a token is attended to but has no loss. Answers that join a group make more
rows than TRL was given prompts, so `_generate` extends the prompts, which TRL reads again afterwards.

Rewards are gathered over ranks before a group is judged, and where one rank must generate again, all do, with a row to
spare if need be: a collective operation that one rank skips would hang the others. All that follows from the gathered
table every rank computes for itself, alike.

Shapes: n answers of this rank, N of all ranks, K rewards, M groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object

from c2f_spec.spec.hint import ReplaceAll, SftLoss
from runtime.models.batches import places_batch
from runtime.training.grpo import OmniGRPOTrainer
from runtime.training.hints import curves, forced_loss, groups
from runtime.training.hints.answer_facts import Judged
from runtime.training.hints.history import History
from runtime.training.hints.rollout_batch import Again, Answer, Asked, Rollout, Step, Used, assembled
from runtime.training.hints.schedule import ALONE, ahead, decided
from runtime.training.hints.triggers import still_bad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runtime.models.rows import Reader
    from runtime.training.hints.policy import Policy


class HintGRPOTrainer(OmniGRPOTrainer):
    """`policy` says what happens to hard samples; `on_rollouts` is given the step and this rank's answers."""

    def __init__(
        self,
        *,
        reader: Reader,
        policy: Policy,
        on_rollouts: Callable[[int, list[Rollout]], None],
        **arguments: Any,
    ) -> None:
        super().__init__(reader=reader, **arguments)
        self.policy, self.on_rollouts = policy, on_rollouts
        self.history = History()
        self.used: Used | None = None
        self._inputs: list[dict[str, Any]] = []
        self._logps_BT: torch.Tensor | None = None
        self.rollout_func = HintGRPOTrainer._rollout

    # ---- what a checkpoint has

    def running(self) -> dict[str, Any]:
        return {**super().running(), "hints": self.history.saved()}

    def go_on(self, running: dict[str, Any]) -> None:
        super().go_on(running)
        self.history = History.restored(running["hints"])

    # ---- what TRL calls

    @staticmethod
    def _rollout(prompts: list[str], trainer: HintGRPOTrainer) -> dict[str, Any]:
        return trainer.roll_out(prompts)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._inputs = inputs = list(inputs)
        output = super()._generate_and_score_completions(inputs)
        assert self.used is not None
        output["kept"] = torch.tensor(self.used.share, device=self.accelerator.device)
        hints = [own.answer.hint * own.has_part for own in self.used.own]
        output["forced"] = torch.tensor(hints, device=self.accelerator.device)
        return output

    def _generate(self, prompts: list[str]) -> Any:
        """TRL goes on with the lists that it was called with: answers that join a group need a prompt in them."""
        result = super()._generate(prompts)
        assert self.used is not None
        joined = [prompts[own.row] for own in self.used.own[len(prompts) :]]
        prompts.extend(joined)
        self._inputs.extend({"prompt": clip} for clip in joined)
        return result

    def _calculate_rewards(self, *arguments: Any) -> torch.Tensor:
        """Of the answers that the update uses, which `roll_out` has rewarded."""
        del arguments
        assert self.used is not None
        self.rewards_NK = self.used.rewards
        return self.rewards_NK

    def advantages(self) -> torch.Tensor:
        assert self.used is not None
        spec = self.policy.spec
        apart = spec.normalise == "separate" and not isinstance(spec.group, ReplaceAll)
        parts_N = self.used.hinted if apart and bool(self.used.hinted.any()) else None
        weights_K = self.reward_weights.to(self.rewards_NK.device)
        result: torch.Tensor = self.normalise(self.rewards_NK, weights_K, self.used.groups, parts_N)
        return result

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*arguments, **options)
        self._logps_BT = result[0]
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """`grpo` and `dr_grpo` divide by the number of rows, of which some may have no part; undone here."""
        loss = super()._compute_loss(model, inputs)
        partial = 0 < inputs["kept"] < 1
        if self.loss_type in ("grpo", "dr_grpo") and partial:
            loss = loss / inputs["kept"]
        taught = self.policy.spec.forced_loss
        if isinstance(taught, SftLoss) and bool(inputs["forced"].any()):
            assert self._logps_BT is not None
            entropy = forced_loss.cross_entropy(self._logps_BT, inputs["forced"])
            entropy = entropy / inputs["kept"] if partial else entropy
            loss = loss + taught.coef * entropy / self.current_gradient_accumulation_steps
        self._logps_BT = None
        return loss

    # ---- a step's answers

    def roll_out(self, clips: list[str]) -> dict[str, Any]:
        """Answers for this rank's `clips`, each `num_generations` times in a row over all ranks."""
        samples, at = self._samples(clips), {"step": self.state.global_step, "steps": self.state.max_steps}
        shape = groups.Shape(self.num_generations, len(clips), self.accelerator.num_processes)
        alone = ALONE[self.accelerator.device.type]
        early = ahead(self.policy, self.history, samples, shape, alone, **at)
        step, again = self._first_answers(clips, shape, early)
        first = self._judged(step.rewards, step.facts, self.num_generations)
        hard, hinted, logged = decided(self.policy, self.history, first, samples, **at)
        self._log(logged)
        given = [group for group, is_hinted in enumerate(hinted) if is_hinted]
        assert not early or set(given) <= set(early), "a group is hinted that could not be"
        if not early:
            again = self._answer_hints(step, given)
        dropped = {g for g, is_hard in enumerate(hard) if is_hard and self.policy.spec.hard_policy == "drop"}
        bad = self._still_bad(again, given)
        taken = set(given) if self.policy.spec.if_still_bad == "keep_hinted" else set(given) - bad
        if self.policy.spec.if_still_bad == "skip":
            dropped |= bad
        return self._use(step, again, taken, dropped)

    def _first_answers(
        self, clips: list[str], shape: groups.Shape, early: Sequence[int]
    ) -> tuple[Step, Again]:
        """And in the same generation the hinted answers of the groups that are `early`."""
        prompts, _, _ = self._tokenize_prompts(clips)
        rank = self.accelerator.process_index
        of_ranks = groups.slots(self.policy.spec.group, shape, early)
        asked = [Asked(i, prompt, []) for i, prompt in enumerate(prompts)]
        asked += [self._hinted(clips, prompts, slot.row) for slot in of_ranks[rank]]
        answers = self._answers(asked)
        first, hinted = answers[: len(clips)], answers[len(clips) :]
        step = Step(rank, shape, clips, prompts, first, *self._rewarded(clips, first))
        return step, self._again(step, of_ranks, hinted)

    def _samples(self, clips: Sequence[str]) -> list[str]:
        """The clip of each group of all ranks."""
        everyone: list[str] = gather_object(list(clips))
        samples = everyone[:: self.num_generations]
        for i, clip in enumerate(everyone):
            assert clip == samples[i // self.num_generations], "answers of a clip do not stand side by side"
        return samples

    def _answer_hints(self, step: Step, given: Sequence[int]) -> Again:
        """Hints and what follows them, for the `given` groups; called by all ranks alike."""
        of_ranks = groups.slots(self.policy.spec.group, step.shape, given)
        if not any(of_ranks):
            return self._again(step, of_ranks, [])
        # With nothing to hint a row is generated for the others' sake, and thrown away.
        rows = [slot.row for slot in of_ranks[step.rank]] or [0]
        answers = self._answers([self._hinted(step.clips, step.prompts, row) for row in rows])
        return self._again(step, of_ranks, answers[: len(of_ranks[step.rank])])

    def _hinted(self, clips: Sequence[str], prompts: Sequence[list[int]], row: int) -> Asked:
        hint = self._tokenizer.encode(self.policy.hint(clips[row]), add_special_tokens=False)
        return Asked(row, prompts[row], hint)

    def _answers(self, asked: Sequence[Asked]) -> list[Answer]:
        """One to each, in one generation."""
        tokens, logprobs = self._generate_single_turn(
            [each.prompt + each.hint for each in asked],
            None,
            places_batch([self.rows[each.row] for each in asked]),
            1,
        )
        return [
            Answer(
                each.hint + ids,
                len(each.hint),
                [None] * len(each.hint) + logprobs[i] if logprobs is not None else None,
            )
            for i, (each, ids) in enumerate(zip(asked, tokens, strict=True))
        ]

    def _again(self, step: Step, of_ranks: list[list[groups.Slot]], own: list[Answer]) -> Again:
        """Rewards what this rank answered in its slots; with as many rows on each rank as on the one that has most,
        because tables are gathered.
        """
        width = max(len(slots) for slots in of_ranks)
        if width == 0:
            return Again(of_ranks, 0, [], step.rewards[:0], step.facts[:0])
        spare = width - len(own)
        clips = [step.clips[slot.row] for slot in of_ranks[step.rank]] + step.clips[:1] * spare
        return Again(of_ranks, width, own, *self._rewarded(clips, own + step.first[:1] * spare))

    def _still_bad(self, again: Again, given: Sequence[int]) -> set[int]:
        """Those of the `given` groups that are hard in spite of the hint; logs the hinted answers."""
        if not given:
            return set()
        order = [i for rows in groups.by_group(again.of_ranks, again.width, given) for i in rows]
        size = groups.hinted_each(self.policy.spec.group, self.num_generations)
        hinted = self._judged(again.rewards[order], again.facts[order], size)
        self._log(curves.of_hinted(hinted))
        bad = still_bad(self.policy.spec.trigger, hinted).tolist()
        return {group for group, is_bad in zip(given, bad, strict=True) if is_bad}

    def _use(self, step: Step, again: Again, taken: set[int], dropped: set[int]) -> dict[str, Any]:
        """What TRL is given: with the hinted answers of the `taken` groups, and without a part for the `dropped`."""
        used = assembled(
            step,
            again,
            frozenset(taken),
            frozenset(dropped),
            passes=self.args.steps_per_generation,
            end=self._tokenizer.eos_token_id,
        )
        names = self.reward_func_names
        if self.policy.spec.polarity_reward_on_hinted == "exclude" and "polarity" in names:
            used.rewards[used.hinted, names.index("polarity")] = torch.nan
        self.used = used
        self._log(curves.of_trained(used.rewards, self.reward_weights, used.groups))
        self._report(used, step)
        self.rows = [self.rows[own.row] for own in used.own]
        loss = self.policy.spec.forced_loss
        told = step.first[0].logprobs is not None
        return {
            "prompt_ids": [step.prompts[own.row] for own in used.own],
            "completion_ids": [own.answer.tokens for own in used.own],
            "logprobs": [own.answer.logprobs for own in used.own] if told else None,
            "env_mask": [forced_loss.mask(loss, own) for own in used.own],
        }

    def _rewarded(self, clips: Sequence[str], answers: Sequence[Answer]) -> tuple[torch.Tensor, torch.Tensor]:
        """Rewards (N, K) and facts (N, F), gathered over ranks, each of which brings equally many."""
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

    def _judged(self, rewards_NK: torch.Tensor, facts_NF: torch.Tensor, size: int) -> Judged:
        return Judged.of(rewards_NK, facts_NF, self.reward_weights, self.reward_func_names, size)

    # ---- what is told

    def _log(self, values: Iterable[tuple[str, float]]) -> None:
        for name, value in values:
            self._metrics["train"][name].append(value)

    def _report(self, used: Used, step: Step) -> None:
        own = [each for each in used.own if not each.blank]
        texts = self.processing_class.batch_decode(
            [each.answer.tokens for each in own], skip_special_tokens=True
        )
        found = []
        for each, text in zip(own, texts, strict=True):
            rewards = dict(zip(self.reward_func_names, each.rewards, strict=True))
            found.append(Rollout(step.clips[each.row], text, rewards, each.answer.hint > 0))
        self.on_rollouts(self.state.global_step, found)
