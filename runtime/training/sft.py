"""TRL's trainer for supervised fine-tuning, as it is; from here, so that what its imports need is in place before."""

from trl import SFTConfig, SFTTrainer

__all__ = ["SFTConfig", "SFTTrainer"]
