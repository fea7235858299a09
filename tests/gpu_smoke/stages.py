"""Rows about the stages, from their records and logs."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from c2f_spec.store import records
from tests.bench.measuring import ROOT
from tests.gpu_smoke.place import Place
from tests.gpu_smoke.table import Row, check

if TYPE_CHECKING:
    from c2f_spec.cli.workspace import Workspace
    from c2f_spec.plan.model import Stage

ENDED = {"distil": "chains", "sft": "steps", "grpo": "steps", "evaluate": "clips"}
"""Kind to what its summary counts."""
RESTORED = r"restored (\d+) tensors of the model, all that are trained"
"""What training says of a resume (`runtime/training/train.py`; under ZeRO of parts, `runtime/checkpoints/trainer_state.py`)."""
SHOWN_COUNTS = ("chains", "kept", "steps", "loss", "grad_norm", "reward", "clips", "well_formed", "ended")


def variant(work: Workspace, stage: Stage) -> str:
    names = [v.name.rpartition("-")[2] for v in work.plan.variants if stage.key in v.stages]
    return names[0] if len(names) == 1 else ""


def stage_rows(work: Workspace, place: Place) -> list[Row]:
    """One row a stage that runs a model."""
    rows = []
    for stage in work.plan.stages:
        if stage.kind not in ENDED:
            continue
        how = variant(work, stage)
        zero, engine = {"lora": ("ZeRO 2", "transformers"), "full": ("ZeRO 3", "vLLM")}.get(how, ("", ""))
        what = " ".join(filter(None, (stage.kind, how)))
        what += f", {zero}" if zero and stage.kind in ("sft", "grpo") else ""
        what += f", {engine} generates" if engine and stage.kind in ("grpo", "evaluate") else ""
        rows.append(_row(what, stage, work, place, needs_vllm=engine == "vLLM" and "vLLM" in what))
    return rows


def _row(what: str, stage: Stage, work: Workspace, place: Place, *, needs_vllm: bool) -> Row:
    record = records.read_record(work.store, stage.kind, stage.key)
    if record is None:
        return Row(what, "fail", f"{stage.name} has no record: c2f-spec logs names why")
    done = record.summary
    numbers = ", ".join(f"{k} {v:,g}" for k, v in done.items() if k in SHOWN_COUNTS)
    good = done[ENDED[stage.kind]] > 0 and all(
        math.isfinite(v) for v in done.values() if isinstance(v, (int, float))
    )
    if needs_vllm and not place.vllm:
        return Row(what, "not run", f"vLLM is not installed; with transformers: {numbers}")
    if place.gpus < 2 and "ZeRO" in what:
        return Row(what, "not run", f"{place.gpus} GPUs; in one process: {numbers}")
    return check(what, good, numbers)


def resumed(work: Workspace, place: Place, killed: str | None) -> list[Row]:
    """The training that was killed went on, with every tensor that is trained."""
    if killed is None:
        return [Row("kill and resume", "fail", "no training ran long enough to be killed")]
    stage = next((s for s in work.plan.stages if s.key == killed), None)
    if stage is None:
        changed = "code or spec changed while this ran: the killed stage is in the plan no more"
        return [Row("kill and resume", "fail", changed)]
    argv = place.command("logs", *place.arguments[:1], stage.name, *place.arguments[1:])
    log = subprocess.run(argv, cwd=place.root, capture_output=True, text=True, check=False).stdout
    went_on = re.search(r"resumed from step (\d+) of (\d+)", log)
    restored = re.search(RESTORED, log)
    start = went_on[0] if went_on else f"{stage.name}: fresh start"
    tensors = restored[0] if restored else "the log does not say so"
    return [
        check("kill and resume", went_on is not None, start),
        check("every tensor restored", restored is not None, tensors),
    ]


def student_rows(work: Workspace, place: Place) -> list[Row]:
    """The student by itself: hints under its tokenizer, gradients from sound and frames."""
    experiment = work.loaded[0].experiment
    prepare = next(s for s in work.plan.stages if s.kind == "prepare")
    record = records.read_record(work.store, "prepare", prepare.key)
    student = experiment.student
    name = f"{student.model}@{student.revision}"
    digest = work.plan.lock["models"][name]
    argv = [
        sys.executable, "-m", "tests.gpu_smoke.model", student.model_dump_json(), experiment.media.model_dump_json(),
        str(records.fetch_model(work.store, name, digest)), str(records.fetch(work.store, record)),
    ]  # fmt: skip
    child = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if child.returncode:
        return [Row("the student by itself", "fail", f"exit {child.returncode}")]
    found = json.loads(child.stdout.splitlines()[-1])
    ends = ", ".join(f"{end}: {'yes' if good else 'no'}" for end, good in found["hint"].items())
    end = experiment.grpo.hint.prefix_end
    rows = [check("a hint is a token prefix", found["hint"][end], f"{ends} (the spec sets `{end}`)")]
    for kind, name in (("video", "pixel_values_videos"), ("audio", "input_features")):
        size = found["gradients"][name]
        rows.append(check(f"gradients from {kind}", 0 < size < math.inf, f"largest {size:.2e}"))
    return rows
