"""Is what somebody wants to adopt what its stage would leave? Told from the files alone, without torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from c2f_spec.errors import WrongUsage, short
from c2f_spec.store.weights import PICKLES, check_tensors

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def check_checkpoint(folder: Path) -> int:
    """Bytes of weights. Raises `WrongUsage` unless it is a whole model with its tokenizer, in safetensors."""
    files = [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    names = {p.name for p in files}
    weights = [p for p in files if p.suffix == ".safetensors"]
    if "adapter_config.json" in names:
        raise WrongUsage(f"{folder} holds adapters, not a model", hint="merge them into their base first")
    if pickled := sorted(p.name for p in files if p.suffix in PICKLES):
        raise WrongUsage(
            f"{folder} holds {pickled[0]}, which runs code when it is read", hint="save it as safetensors"
        )
    lacks = [n for n in ("config.json", "tokenizer_config.json") if n not in names]
    lacks += [] if weights else ["*.safetensors"]
    if lacks:
        raise WrongUsage(
            f"{folder} is no model: it lacks {', '.join(lacks)}",
            hint="model and processor as save_pretrained writes them, in one folder",
        )
    for path in weights:
        check_tensors(path)
    return sum(p.stat().st_size for p in weights)


def check_chains(path: Path, train: Collection[str] | None) -> int:
    """Number of chains. Raises `WrongUsage` at a line that is none, or that is of no clip of the training split.

    `train` are the ids of the training split, if it is prepared.
    """
    seen: set[str] = set()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            at = f"{path}:{number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise WrongUsage(f"{at}: not JSON: {error.msg}", hint='one {"id", "text"} a line') from None
            if (
                not isinstance(row, dict)
                or not isinstance(row.get("id"), str)
                or not isinstance(row.get("text"), str)
            ):
                raise WrongUsage(f"{at}: not a chain", hint='one {"id", "text"} a line')
            if row["id"] in seen:
                raise WrongUsage(f"{at}: a second chain for `{short(row['id'])}`", hint="keep one")
            if train is not None and row["id"] not in train:
                raise WrongUsage(
                    f"{at}: `{short(row['id'])}` is no clip of the training split",
                    hint="a chain of a test clip would leak its answer into training",
                )
            seen.add(row["id"])
    if not seen:
        raise WrongUsage(f"{path} holds no chains", hint='one {"id", "text"} a line')
    return len(seen)
