"""What a stage says of itself for `c2f-spec verify`: the stage.json that it read, and whether its code is what its key says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runtime
from c2f_spec.keys import code_digest

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile

ROOT = Path(runtime.__file__).resolve().parent.parent


def witness(stage: StageFile, path: Path) -> dict[str, Any]:
    """For a record: `stage_file` is the SHA-256 of its bytes, `image` what it was to run in, `code` has each file of the
    key whose digest here is another one, with that digest; a file that is not here has none.

    Code that a lock accepted is told, too: only who reads the lock knows that it counts as equal.
    """
    found = {name: _digest(ROOT / name) for name in stage.preimage["code"]}
    other = {name: digest for name, digest in found.items() if digest != stage.preimage["code"][name]}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"stage_file": digest, "image": stage.placement.image, "code": other}


def _digest(path: Path) -> str | None:
    return code_digest(path.read_bytes()) if path.is_file() else None
