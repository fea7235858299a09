"""Read the stage file that a target wrote, and fetch the inputs that it names to this machine, verified.

Process 1 and every worker read the file; workers fetch the inputs before the stage runs.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

import c2f_spec
from c2f_spec.errors import InvalidStageSpec, Unreachable
from c2f_spec.spec.experiment import reads_weights
from c2f_spec.spec.handoff import STAGE_VERSION, StageFile
from c2f_spec.store import records
from runtime.console import log_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from c2f_spec.store.protocol import ObjectStore


LOG_SECONDS = 10.0
"""Seconds between two lines of the log about one input."""


def read_stage_file(path: Path) -> StageFile:
    """Return the content of a stage file. Raises `InvalidStageSpec`, which is not retried, before anything is fetched."""
    try:
        return StageFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _invalid(path, error) from None


def _invalid(path: Path, error: ValidationError) -> InvalidStageSpec:
    try:
        version = json.loads(path.read_bytes()).get("format_version")
    except (ValueError, AttributeError):
        version = None
    if version != STAGE_VERSION:
        message = f"{path.name} has format {version}; this runtime, {c2f_spec.VERSION}, reads {STAGE_VERSION}"
        return InvalidStageSpec(message, hint="plan and apply with the version of the runtime's code")
    first = error.errors(include_url=False)[0]
    return InvalidStageSpec(
        f"{path.name} is not a valid stage file: `{'.'.join(map(str, first['loc']))}`: {first['msg']}",
        hint="apply again with one version: the program and its runtime have different versions",
    )


def fetch_inputs(stage: StageFile, store: ObjectStore) -> dict[str, Path]:
    """Return the folder of each input by role, every file verified.

    `data` is the staged copy of a data set, for `prepare`; `weights` are those of a model as it was released. Raises
    `Unreachable` for an input that is not in the store.
    """
    folders = {}
    for role, wanted in stage.inputs.items():
        record = records.read_record(store, wanted.kind, wanted.key)
        if record is None:
            raise Unreachable(
                f"the input `{role}` ({wanted.kind} {wanted.key[:10]}) was not found in the store"
            )
        folders[role] = records.fetch(store, record, _progress_logger(role))
    data = stage.preimage.get("data")
    if data:
        folders["data"] = records.fetch_dataset(store, data["name"], data["digest"], _progress_logger("data"))
    served = stage.placement.endpoint
    if reads_weights(stage.preimage, stage.inputs) or (served is not None and served.url is None):
        for name, digest in stage.preimage["models"].items():
            folders["weights"] = records.fetch_model(
                store, name, digest, _progress_logger("weights"), _weights_filter(stage)
            )
    return folders


def _weights_filter(stage: StageFile) -> Callable[[str], bool]:
    """Return which files of a model the stage needs: a filter counts tokens and needs no tensors."""
    return lambda path: stage.kind != "filter" or not path.endswith(".safetensors")


def _progress_logger(role: str) -> Callable[[int, int], None]:
    """Return a callback that logs how much of an input is fetched: at the start, every ten seconds, and at the end."""
    last = [0.0]

    def log_progress(done: int, total: int) -> None:
        if done < total and time.monotonic() - last[0] < LOG_SECONDS:
            return
        last[0] = time.monotonic()
        log_line(f"input {role}: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB fetched")

    return log_progress
