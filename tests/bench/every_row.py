"""The straightforward GRPO trainer for audio and video: TRL's, with media as TRL itself does it for images.

Each row of a batch is one answer, and each row's clip is decoded and processed by itself: once for generation, and once
more for scoring, where the tensors then serve the old, the reference and the training policy. The model gets the
media of every row in every pass. It is what a subclass that follows TRL's own code for images comes to, and what the
product's trainer is measured against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.models.batches import media_batch
from runtime.training.grpo_trainer import GRPOTrainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.models.rows import Row


class EveryRowTrainer(GRPOTrainer):
    """`read` decodes and processes the clip of one row."""

    def __init__(self, *, read: Callable[[str], Row], **arguments: Any) -> None:
        self.read = read
        self.rows: list[Row] = []
        super().__init__(**arguments)

    def _tokenize_prompts(self, prompts: list[str]) -> Any:
        rows = [self.read(clip) for clip in prompts]
        self.rows = [self.read(clip) for clip in prompts]  # for scoring
        return [list(row.prompt) for row in rows], None, dict(media_batch(rows))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        output["rows"] = self.rows
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        self.rows = inputs["rows"]
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, model: Any, *arguments: Any, **options: Any) -> Any:
        media = dict(media_batch(self.rows))
        return super()._get_per_token_logps_and_entropies(
            lambda **given: model(**given, **media), *arguments, **options
        )
