"""TRL's trainer for supervised fine-tuning, able to resume. Import it from here: `runtime.training` patches first."""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from runtime.training.resumable import Resumable

__all__ = ["OmniSFTTrainer", "SFTConfig"]


class OmniSFTTrainer(Resumable, SFTTrainer):  # type: ignore[misc]  # trl has no type hints
    """SFT that resumes TRL's own counter of tokens."""

    def on_epoch_order(self, order: list[int]) -> None:
        self.data_collator.reader.prefetch(self.train_dataset[i]["id"] for i in order)

    def counters(self) -> dict[str, Any]:
        return {"tokens": self._total_train_tokens}

    def restore_counters(self, counters: dict[str, Any]) -> None:
        self._total_train_tokens = counters["tokens"]
