"""Stages run with the hub offline: weights and data come from the store, by digest, and from nowhere else."""

from __future__ import annotations

import os
import sys

VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def go_offline() -> None:
    """Whoever started this process may have forgotten them; libraries read them when they are imported."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))


def assert_offline() -> None:
    """The one library through which the others reach the hub was imported after `go_offline`."""
    hub = sys.modules.get("huggingface_hub.constants")
    assert hub is None or hub.HF_HUB_OFFLINE, (
        "the hub's library was imported before it was told to stay offline"
    )
