"""What a stage says of itself for `c2f-spec verify`: the stage.json that it read, and whether its code is what its key says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import runtime
from c2f_spec.keys import code_digest, stage_digest

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile

ROOT = Path(runtime.__file__).resolve().parent.parent


def witness(stage: StageFile) -> dict[str, Any]:
    """For a record: the digest of the stage file, where and with which bundle it was to run, and in `code` each file of
    the key whose digest here is another one, with that digest; a file that is not here has none.

    Code that a lock accepted is told, too: only who reads the lock knows that it counts as equal.
    """
    found = {name: _digest(ROOT / name) for name in stage.preimage["code"]}
    other = {name: digest for name, digest in found.items() if digest != stage.preimage["code"][name]}
    placement = stage.placement.model_dump(mode="json")
    return {"stage_file": stage_digest(stage), "placement": placement, "bundle": stage.code, "code": other}


def _digest(path: Path) -> str | None:
    return code_digest(path.read_bytes()) if path.is_file() else None
