"""What a stage reads, brought to this machine and verified."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

import c2f_spec
from c2f_spec.errors import StageSpecWrong, Unreachable
from c2f_spec.spec.experiment import reads_weights
from c2f_spec.spec.handoff import STAGE_VERSION, StageFile
from c2f_spec.store import records
from runtime.console import log_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from c2f_spec.store.protocol import ObjectStore


def read_stage_file(path: Path) -> StageFile:
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


LOG_SECONDS = 10.0
"""Seconds."""


def fetch_inputs(stage: StageFile, objects: ObjectStore) -> dict[str, Path]:
    """Role to folder, every file verified; for `prepare` the staged copy of the data set.

    `weights` are a model's that the stage reads as it was released.
    """
    found = {}
    for role, given in stage.inputs.items():
        record = records.read_record(objects, given.kind, given.key)
        if record is None:
            raise Unreachable(f"the input `{role}` ({given.kind} {given.key[:10]}) is not in the store")
        found[role] = records.fetch(objects, record, _progress_logger(role))
    data = stage.preimage.get("data")
    if data:
        found["data"] = records.fetch_dataset(objects, data["name"], data["digest"], _progress_logger("data"))
    served = stage.placement.endpoint
    if reads_weights(stage.preimage, stage.inputs) or (served is not None and served.url is None):
        for name, digest in stage.preimage["models"].items():
            found["weights"] = records.fetch_model(
                objects, name, digest, _progress_logger("weights"), _weights_filter(stage)
            )
    return found


def _weights_filter(stage: StageFile) -> Callable[[str], bool]:
    """Which files of a model: a filter counts tokens and needs no tensors."""
    return lambda path: stage.kind != "filter" or not path.endswith(".safetensors")


def _progress_logger(role: str) -> Callable[[int, int], None]:
    """Says how far an input has come: when it begins, every ten seconds, and when it is there."""
    last = [0.0]

    def tell(done: int, total: int) -> None:
        if done < total and time.monotonic() - last[0] < LOG_SECONDS:
            return
        last[0] = time.monotonic()
        log_line(f"input {role}: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB are here")

    return tell
