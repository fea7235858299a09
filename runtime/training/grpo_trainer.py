"""GRPO on an omni model: TRL's trainer, with the media in every forward pass.

TRL 1.16 forwards fields of images only: generation would have sound and video, while the log-probabilities of the old,
reference and training policy would not, and training would go on without an error. It depends on these private members of
TRL, which a test checks:

    _tokenize_prompts(prompts)                             prompts are clip ids here; rows come from the reader
    _generate_and_score_completions(inputs) -> dict        gets the clip ids as a list, which follows shuffle and split
    _generate_single_turn(ids, images, media, n)           gets a `MediaBatch`, which knows its rows
    _compute_loss(model, inputs)                           brings the rows of its slice back
    _get_per_token_logps_and_entropies(model, ids, ...)    called with a callable that adds the media, chunk by chunk
    _calculate_rewards(...)                                the last of a generation are those that the update uses
    use_vllm, vllm_generation, _last_loaded_step           set where vLLM generates: TRL then takes the log-probabilities
                                                           that come with the answers, and corrects for their difference
                                                           to the policy's own, as `vllm_importance_sampling_*` say
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from trl import GRPOConfig, GRPOTrainer
from trl.models import prepare_deepspeed
from trl.trainer.utils import add_fused_lm_head

from runtime.models.batches import MediaBatch, assert_fits, positions_batch
from runtime.models.layout import link_with_thinker_class
from runtime.training.advantages import advantages
from runtime.training.towers import Towers, find_thinker
from runtime.training.train import Resumable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from c2f_spec.spec.grpo import Grpo
    from runtime.generation.vllm_rollout import PolicyOnVllm, SampledAnswers
    from runtime.models.rows import Reader, Row

__all__ = ["GRPOConfig", "GRPOTrainer", "OmniGRPOTrainer", "kl_term"]


def kl_term(grpo: Grpo) -> dict[str, Any]:
    """Return TRL's arguments of the KL term of the loss, `beta` times the KL divergence to the reference model.

    TRL computes it in `GRPOTrainer._compute_loss`, a token at a time: exp(r) - r - 1 with r = log p_ref - log p (Schulman's
    k3, http://joschu.net/blog/kl-approx.html), times the importance ratio where `grpo.kl` is `corrected` (METHOD 1.7).
    Another estimator replaces that term in `OmniGRPOTrainer._compute_loss`; the reference is chosen in
    `runtime/stages/grpo.py`.
    """
    return {"beta": grpo.beta, "use_bias_correction_kl": grpo.kl == "corrected"}


class OmniGRPOTrainer(Resumable, GRPOTrainer):  # type: ignore[misc]  # trl has no type hints
    """GRPO with media. Its data set has one column, `prompt`: the id of a clip of `reader`."""

    def __init__(
        self,
        *,
        reader: Reader,
        normalise: Callable[..., torch.Tensor] | None = None,
        reference: Any = None,
        longest_prompt: int | None = None,
        engine: Callable[[Any], PolicyOnVllm] | None = None,
        **arguments: Any,
    ) -> None:
        """`normalise` is `advantages` with its choices made; by default TRL's own choices. `reference` is the model that
        the KL divergence is measured to, if it is not the one that training starts from. `longest_prompt` in tokens.
        `engine` makes what generates, if it is not the model itself.
        """
        self.reader, self._longest = reader, longest_prompt
        self.rows: list[Row] = []
        """Rows of the sequences that the next forward passes score, in order."""
        self.generation_seconds: list[float] = []
        """Seconds of all generations of each step."""
        self._generated = 0.0
        self._towers: dict[int, Towers] = {}
        self.rewards_NK = torch.empty(0)
        """Rewards (N, K) of all ranks' answers in the update, as last returned by `_calculate_rewards`."""
        config, args = arguments["model"].config, arguments["args"]
        links = Path(args.output_dir) / f"reference-{args.process_index}"
        config.name_or_path = str(link_with_thinker_class(Path(config.name_or_path), links))
        super().__init__(**arguments)
        own = {"scale": self.scale_rewards, "std": "unbiased", "eps": 1e-4}
        self.normalise = normalise or partial(advantages, aggregate="sum_then_normalise", **own)
        if reference is not None and self.beta > 0:
            self._compare_to(reference)
        if self.ref_model is not None:
            self.ref_model.requires_grad_(False)

        self.engine = None if engine is None else engine(self)
        if self.engine is not None:
            # So TRL pushes weights to it, and weights answers by what it says of them (`grpo_trainer.py`, "IS ratio").
            self.use_vllm, self.vllm_generation, self._last_loaded_step = True, self.engine, -1

    def _compare_to(self, reference: Any) -> None:
        """Set up the reference as TRL sets up one that it loads; with adapters it loads none."""
        add_fused_lm_head(reference, temperature=self.temperature)
        if self.is_deepspeed_enabled:
            self.ref_model = prepare_deepspeed(reference, self.accelerator)
        else:
            self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)

    def generation_interval(self) -> int:
        passes: int = self.args.steps_per_generation * self.num_iterations
        return max(1, passes // int(self.args.gradient_accumulation_steps))

    def on_epoch_order(self, order: list[int]) -> None:
        self.reader.prefetch(self.train_dataset[i]["prompt"] for i in order)

    def restore_counters(self, counters: dict[str, Any]) -> None:
        """Restore TRL's count of passes, which decides when it generates."""
        super().restore_counters(counters)
        self._step = self.state.global_step * self.args.gradient_accumulation_steps

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, MediaBatch]:
        self.rows = [self.reader.row(clip_id) for clip_id in prompts]
        if self._longest is not None:
            for row in self.rows:
                assert_fits(row, len(row.prompt), self._longest, "a prompt", "`grpo.max_prompt_tokens`")
        for towers in self._towers.values():
            towers.begin_step(self.rows)
        return [list(row.prompt) for row in self.rows], None, positions_batch(self.rows)

    def with_media(self, model: Any, rows: Sequence[Row]) -> AbstractContextManager[None]:
        """Return a context in which forward passes of `model` have the media of `rows`, if any."""
        thinker = find_thinker(model) if any(row.media for row in rows) else None
        return nullcontext() if thinker is None else self._towers_of(thinker).serve_features(thinker, rows)

    def _towers_of(self, thinker: Any) -> Towers:
        """Return the towers of a model; policy and reference share them where both are frozen and equal."""
        if id(thinker) not in self._towers:
            found = Towers(thinker)
            found.begin_step(self.rows)
            others = (each for each in self._towers.values() if each.frozen and found.frozen)
            self._towers[id(thinker)] = next((each for each in others if each.same_weights(found)), found)
        return self._towers[id(thinker)]

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, media: MediaBatch, *arguments: Any, **named: Any
    ) -> Any:
        began = time.monotonic()
        if self.engine is not None:
            result: Any = self._generate_by_engine(self.engine, prompt_ids, media.rows)
        else:
            with torch.no_grad(), self.with_media(self.model, media.rows):
                places = positions_batch(media.rows)
                result = super()._generate_single_turn(prompt_ids, images, places, *arguments, **named)
        self._generated += time.monotonic() - began
        return result

    def _generate_by_engine(
        self, engine: PolicyOnVllm, prompt_ids: list[list[int]], rows: Sequence[Row]
    ) -> SampledAnswers:
        """Generate by the engine with the current weights of the policy."""
        if self._last_loaded_step != self.state.global_step:
            engine.sync_weights()
            self._last_loaded_step = self.state.global_step
        clips = {row.id: self.reader.decoded_clip(row.id) for row in rows}
        return engine.answer(prompt_ids, [clips[row.id] for row in rows])

    def _calculate_rewards(self, *arguments: Any) -> torch.Tensor:
        self.rewards_NK = super()._calculate_rewards(*arguments)
        return self.rewards_NK

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._generated = 0.0
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        self.generation_seconds.append(self._generated)
        output["clips"] = [each["prompt"] for each in inputs]
        first = self.accelerator.process_index * len(inputs)
        output["advantages"] = self.compute_advantages()[first : first + len(inputs)]
        return output

    def compute_advantages(self) -> torch.Tensor:
        """Return the advantages (N,) of all ranks' answers from `rewards_NK`; groups are consecutive."""
        groups_N = torch.arange(len(self.rewards_NK), device=self.rewards_NK.device) // self.num_generations
        weights_K = self.reward_weights.to(self.rewards_NK.device)
        result: torch.Tensor = self.normalise(self.rewards_NK, weights_K, groups_N)
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        self.rows = [self.reader.row(clip_id) for clip_id in inputs["clips"]]
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        return loss

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        **options: Any,
    ) -> Any:
        """Return log-probabilities (B, `logits_to_keep`) and entropies of sequences with the media of `rows`.

        input_ids and attention_mask are (B, T); B is the number of `rows`.
        """
        assert len(self.rows) == input_ids.shape[0], "media and sequences differ in number"
        scored = _WithMedia(model, self.with_media, self.rows)
        result = super()._get_per_token_logps_and_entropies(
            scored, input_ids, attention_mask, logits_to_keep, **options
        )
        assert scored.passed == len(self.rows), "some sequences were scored without their media"
        return result


class _WithMedia:
    """Wraps a model; each call takes the media of the next rows."""

    def __init__(
        self,
        model: Any,
        with_media: Callable[[Any, Sequence[Row]], AbstractContextManager[None]],
        rows: Sequence[Row],
    ) -> None:
        self._model, self._with_media, self._rows, self.passed = model, with_media, rows, 0

    def __call__(self, **inputs: Any) -> Any:
        ids_BT = inputs["input_ids"]
        rows = self._rows[self.passed : self.passed + ids_BT.shape[0]]
        self.passed += len(rows)
        places = {name: t.to(ids_BT.device) for name, t in positions_batch(rows).items()}
        with self._with_media(self._model, rows):
            return self._model(**inputs, **places)
