"""TRL's trainer for supervised fine-tuning, able to go on after an interruption; from here, so that what its imports
need is in place before.
"""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from runtime.training.resumable import Resumable

__all__ = ["OmniSFTTrainer", "SFTConfig"]


class OmniSFTTrainer(Resumable, SFTTrainer):  # type: ignore[misc]  # trl has no type hints
    """TRL counts the tokens that it trained on by itself."""

    def drawn(self, order: list[int]) -> None:
        self.data_collator.reader.expect(self.train_dataset[i]["id"] for i in order)

    def running(self) -> dict[str, Any]:
        return {"tokens": self._total_train_tokens}

    def go_on(self, running: dict[str, Any]) -> None:
        self._total_train_tokens = running["tokens"]
