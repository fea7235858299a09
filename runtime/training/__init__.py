"""Trainers of SFT and GRPO, and what surrounds them. `README.md` lists the functions of a GRPO step in order.

`runtime.models.patches` comes first, because it must run before transformers and trl are imported.
"""

from runtime.models import patches as patches
