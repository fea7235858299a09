"""The stage.json that a runtime is given, if it is one that this version can do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

import c2f_spec
from c2f_spec.errors import StageSpecWrong
from c2f_spec.spec.handoff import STAGE_VERSION, StageFile

if TYPE_CHECKING:
    from pathlib import Path


def read_stage(path: Path) -> StageFile:
    """Raises `StageSpecWrong`: told before anything is staged or computed, and not worth another try."""
    try:
        return StageFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: ValidationError) -> StageSpecWrong:
    try:
        version = json.loads(path.read_bytes()).get("format_version")
    except (ValueError, AttributeError):
        version = None
    if version != STAGE_VERSION:
        message = f"{path.name} has format {version}; this runtime, {c2f_spec.VERSION}, reads {STAGE_VERSION}"
        return StageSpecWrong(message, hint="plan and apply with the version that the runtime's code is of")
    first = error.errors(include_url=False)[0]
    return StageSpecWrong(
        f"{path.name} is no stage file: `{'.'.join(map(str, first['loc']))}`: {first['msg']}",
        hint="the program and its runtime are of different versions; apply again with one of them",
    )
