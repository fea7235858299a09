"""Convert a saved thinker to the layout of a released omni model: names of tensors and configuration.

    hub                                parameter                        saved thinker
    thinker.model.layers.0.…           model.language_model.layers.0.…  model.layers.0.…
    thinker.visual.…                   model.visual.…                   visual.…
    thinker.audio_tower.…              model.audio_tower.…              audio_tower.…
    thinker.lm_head.weight             lm_head.weight                   lm_head.weight
    talker.…, token2wav.…              (not loaded)                     (not there)

transformers reads either into the parameters. vLLM reads the first alone, so what it is given is written that way.
"""

from __future__ import annotations

import json
import shutil
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PREFIXES = (
    ("model.language_model.", "model."),
    ("model.visual.", "visual."),
    ("model.audio_tower.", "audio_tower."),
)
"""Prefixes of parameters, and of the same tensors in the files of a thinker."""
THINKER = "thinker."
RELEASED = {"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni", "enable_audio_output": False}
OUTSIDE = ("architectures", "transformers_version")
"""Fields that stand outside the thinker's part of a configuration."""
CHUNK = 8 << 20


def hub_name(parameter: str) -> str:
    """Return the name on the hub of a parameter of the thinker. Raise `LookupError` for an unknown name."""
    for inside, saved in PREFIXES:
        if parameter.startswith(inside):
            return THINKER + saved + parameter.removeprefix(inside)
    if parameter.startswith("lm_head."):
        return THINKER + parameter
    raise LookupError(f"`{parameter}` is no parameter of a thinker")


def is_released(folder: Path) -> bool:
    return bool(json.loads((folder / "config.json").read_text())["model_type"] == RELEASED["model_type"])


def to_released_layout(folder: Path, into: Path) -> Path:
    """Return a folder with the thinker of `folder` in the layout of the hub: itself, or a copy in `into`.

    A copy has a new header with the names; the bytes of the tensors are the same.
    """
    if is_released(folder):
        return folder
    into.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.name == "config.json":
            (into / file.name).write_text(json.dumps(_outer(json.loads(file.read_text())), indent=1))
        elif file.name.endswith(".index.json"):
            index = json.loads(file.read_text())
            index["weight_map"] = {THINKER + name: part for name, part in index["weight_map"].items()}
            (into / file.name).write_text(json.dumps(index))
        elif file.suffix == ".safetensors":
            _renamed(file, into / file.name)
        else:
            shutil.copyfile(file, into / file.name)
    return into


def write_released_config(config: Any, processor: Any, folder: Path) -> Path:
    """Write configuration and processor of a released model, without tensors, into `folder`, and return it."""
    processor.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(_outer(config.to_dict()), indent=1))
    return folder


def _outer(config: dict[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in config.items() if name not in OUTSIDE}
    return {**RELEASED, "thinker_config": inner, "dtype": config.get("dtype")}


def _renamed(file: Path, into: Path) -> None:
    """Copy a safetensors file with prefixed names: it begins with the length of a JSON header of names and places."""
    with file.open("rb") as source, into.open("wb") as target:
        (length,) = struct.unpack("<Q", source.read(8))
        header = json.loads(source.read(length))
        named = {name if name == "__metadata__" else THINKER + name: place for name, place in header.items()}
        text = json.dumps(named).encode()
        text += b" " * (-len(text) % 8)  # tensors stay aligned
        target.write(struct.pack("<Q", len(text)) + text)
        shutil.copyfileobj(source, target, CHUNK)
