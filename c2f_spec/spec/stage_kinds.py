"""Name the kinds of stages. This module imports nothing heavy: the help of the command prints them."""

from __future__ import annotations

from typing import Literal

STAGE_KINDS = ("prepare", "distil", "filter", "sft", "merge", "grpo", "evaluate", "baseline")
"""All kinds, in the order in which a plan can have them."""

TRAINING: tuple[Literal["sft"], Literal["grpo"]] = ("sft", "grpo")
"""The kinds that train the student, in the order in which they run; each has checkpoints to resume from."""
