"""The random states of one rank: Python's, numpy's, torch's and its GPU's. As JSON: 20 KB, and no pickle."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def capture() -> dict[str, Any]:
    """Everything that the libraries of training draw from without being asked for a generator."""
    version, words, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002  the libraries draw from it
    return {
        "python": [version, list(words), gauss],
        "numpy": {**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].tolist()}},
        "torch": torch.get_rng_state().tolist(),
        "cuda": torch.cuda.get_rng_state().tolist() if torch.cuda.is_available() else None,
    }


def restore(states: dict[str, Any]) -> None:
    """Raises `LookupError` for states of a rank with a GPU on a machine without one, and the other way round."""
    if (states["cuda"] is not None) != torch.cuda.is_available():
        raise LookupError(
            "the random states are of a rank with a GPU, or this rank has one and they have none"
        )
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    numpy = states["numpy"]
    keys = np.array(numpy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": keys}})  # noqa: NPY002
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(torch.tensor(states["cuda"], dtype=torch.uint8))
