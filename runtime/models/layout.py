"""Name tensors and configuration of a student's files as released omni models have them.

    hub                                parameter
    thinker.model.layers.0.…           model.language_model.layers.0.…
    thinker.visual.…                   model.visual.…
    thinker.audio_tower.…              model.audio_tower.…
    thinker.lm_head.weight             lm_head.weight
    talker.…, token2wav.…              (neither loaded nor saved)

All folders of students have this layout: released weights, what a stage saves, what `export` writes. The thinker's class of
transformers reads it, and vLLM reads no other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

PREFIXES = (
    ("model.language_model.", "model."),
    ("model.visual.", "visual."),
    ("model.audio_tower.", "audio_tower."),
)
"""Prefixes of parameters, and of the same tensors behind `thinker.` in files."""
THINKER = "thinker."
RELEASED_PREFIXES = (THINKER, "talker.", "token2wav.")
RELEASED = {"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni", "enable_audio_output": False}
NOT_SAVED = ("architectures", "transformers_version", "_name_or_path")
"""Fields of a configuration that say where it was loaded from, and by which class."""
THINKER_CLASS = "Qwen2_5OmniThinkerForConditionalGeneration"


def hub_name(parameter: str) -> str:
    """Return the name on the hub of a parameter of the thinker. Raise `LookupError` for an unknown name."""
    for inside, saved in PREFIXES:
        if parameter.startswith(inside):
            return THINKER + saved + parameter.removeprefix(inside)
    if parameter.startswith("lm_head."):
        return THINKER + parameter
    raise LookupError(f"`{parameter}` is no parameter of a thinker")


def is_released(folder: Path) -> bool:
    """Return whether configuration and tensors of a folder are named as the hub names them."""
    names: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            names |= set(tensors.keys())
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    return bool(model_type == RELEASED["model_type"]) and all(n.startswith(RELEASED_PREFIXES) for n in names)


def write_released_config(config: Any, processor: Any, folder: Path) -> Path:
    """Write the configuration of a thinker and its processor, without tensors, into `folder`, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    processor.save_pretrained(folder)
    thinker = _without(config.to_dict(), NOT_SAVED)
    released = {**RELEASED, "thinker_config": thinker, "dtype": thinker.get("dtype")}
    (folder / "config.json").write_text(json.dumps(released, indent=1) + "\n")
    return folder


def _without(value: Any, names: Collection[str]) -> Any:
    """Return nested maps without the fields `names`."""
    if not isinstance(value, dict):
        return value
    return {name: _without(inner, names) for name, inner in value.items() if name not in names}


def link_with_thinker_class(folder: Path, into: Path) -> Path:
    """Return a folder whose configuration names the class of the thinker: itself, or `into` with links to its files.

    TRL loads the reference model by the class that the configuration of the policy's folder names.
    """
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] != RELEASED["model_type"]:
        return folder
    into.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.name != "config.json":
            (into / file.name).unlink(missing_ok=True)
            (into / file.name).symlink_to(file.resolve())
    (into / "config.json").write_text(json.dumps({**config, "architectures": [THINKER_CLASS]}))
    return into
