"""Stages that ask a model about many clips, killed by SIGKILL at random moments: the judge's filter, and a teacher that
transformers runs. For a test of a few kills and for `python -m tests.bench asking`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.spec.endpoint import Client as How
from c2f_spec.spec.handoff import Endpoint, Placement, StageFile
from c2f_spec.spec.sections import C2f
from c2f_spec.store import records
from c2f_spec.store.model_weights import add_model
from runtime.text.chains import canonical_answer
from runtime.text.clips import read_manifest, write_jsonl
from tests.support.distil_world import CHAIN, MEDIA, prepared
from tests.support.killed import Stand, _work
from tests.support.stage_runs import ALL_OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST = 300.0
"""Seconds after which an attempt hangs."""
MODEL = f"a/b@{'0' * 40}"
PRELOADED = (
    "runtime.process.worker",
    "runtime.stages.filter",
    "runtime.stages.distil",
    "tests.support.killed",
)


@dataclass
class Storm:
    """What became of a stage."""

    kills: int = 0
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    """Digests of what was committed."""
    summary: dict[str, object] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    """Rows in the journals when each attempt had ended."""


def storm(
    stand: Stand, path: Path, kills: int, moment: Callable[[], float], preload: Sequence[str] = PRELOADED
) -> Storm:
    """Attempts at a stage, the first `kills` of which are killed after `moment()` seconds; then one to its end."""
    found, stage = Storm(), StageFile.model_validate_json(path.read_bytes())
    while records.read_record(stand.objects, stage.kind, stage.key) is None:
        child = start(stand, path, preload)
        found.attempts += 1
        child.join(moment() if found.kills < kills else LONGEST)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            found.kills += 1
        elif child.exitcode:
            found.wrong.append(f"it ended with {child.exitcode}\n{_log(stand)[-2000:]}")
            return found
        found.written.append(_written(stand, stage))
    record = records.read_record(stand.objects, stage.kind, stage.key)
    found.outputs = {name: entry.blake3 for name, entry in record.files.items()}
    found.summary = dict(record.summary)
    return found


def start(
    stand: Stand, path: Path, preload: Sequence[str] = PRELOADED, log: str = "log", **variables: str
) -> multiprocessing.Process:
    """Start an attempt from a process that has imported everything, so that a kill falls into the requests."""
    os.environ["OMP_NUM_THREADS"] = "1"
    name = uuid.uuid4().hex
    scratch = stand.folder / "scratch" / name
    scratch.mkdir(parents=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    env = {**os.environ, **variables}
    child = context.Process(target=_work, args=(path, name, scratch, stand.folder / log, env))
    child.start()
    return child


def _log(stand: Stand) -> str:
    return (stand.folder / "log").read_text()


def _written(stand: Stand, stage: StageFile) -> int:
    folder = f"{records.work_name(stage.kind, stage.key)}/journal"
    return sum(data.count(b"\n") for data in stand.objects.read_many(stand.objects.names(folder)).values())


def committed(stand: Stand, path: Path) -> Path:
    """The committed output of a stage."""
    stage = StageFile.model_validate_json(path.read_bytes())
    record = records.read_record(stand.objects, stage.kind, stage.key)
    return records.fetch(stand.objects, record, lambda *_: None)


# ---- the judge


def judge_stand(root: Path, store: str, clips: int) -> Stand:
    """A store with clips and a chain of each."""
    folder = prepared(root / "prepared", clips)
    chains = root / "chains"
    chains.mkdir()
    told = [
        {"id": clip.id, "text": canonical_answer(C2f(), clip.polarity, f"{CHAIN} {clip.id}", clip.label)}
        for clip in read_manifest(folder)
    ]
    write_jsonl(chains / "chains.jsonl", told)
    write_jsonl(chains / "failed.jsonl", ())
    return Stand(root, store, {"prepare": folder, "distil": chains})


def judge_stage(stand: Stand, url: str, at_once: int) -> Path:
    """A stage file of its own key: the judge drops chains whose mark is under 3."""
    filters = {
        **ALL_OFF, "polarity_match": {}, "judge": {"model": "m"}, "min_keep_fraction": 0, "min_keep_polarity": 0,
    }  # fmt: skip
    endpoint = Endpoint(url=url, client=How(concurrency=at_once, timeout=30.0))
    return write_stage(
        stand, "filter", {"filters": filters}, Placement(endpoint=endpoint), ("prepare", "distil")
    )


def mark(body: dict) -> str:
    """A mark of 1 to 5 that follows from the clip; of every seventh none at the first try."""
    number = clip_of(body)
    if number % 7 == 0 and body["temperature"] == 0:
        return "It depends."
    return f"Mark: {1 + number % 5}\nClip {number}."


def clip_of(body: dict) -> int:
    return int(body["messages"][0]["content"][0]["text"].split("I said number ")[1].split("\n")[0])


# ---- a teacher that transformers runs


def teacher_stand(root: Path, store: str, clips: int, weights: Path) -> Stand:
    """A store with clips and the weights of a teacher."""
    stand = Stand(root, store, {"prepare": prepared(root / "prepared", clips)})
    files = {path.name: path for path in weights.iterdir() if path.is_file()}
    stand.weights = add_model(stand.objects, MODEL, files, lambda _: None)
    return stand


def teacher_stage(stand: Stand, samples: int = 1) -> Path:
    """It writes a few tokens, none of which can be read, so that each clip is asked twice."""
    model, _, revision = MODEL.partition("@")
    teacher = {
        "kind": "transformers", "model": model, "revision": revision, "max_new_tokens": 6, "retry": 1, "samples": samples,
    }  # fmt: skip
    models = {"models": {MODEL: stand.weights}}
    return write_stage(
        stand, "distil", {"teacher": teacher, "media": MEDIA}, Placement(), ("prepare",), **models
    )


def write_stage(stand, kind, spec, placement, inputs, **preimage) -> Path:
    key = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(spec)).hex * 2
    spec = {"format": {"kind": "c2f"}, **spec}
    stage = StageFile(
        kind=kind, key=key, name=f"{kind}-{key[:10]}", preimage={"stage": kind, "code": {}, "spec": spec, **preimage},
        placement=placement, inputs={name: stand.inputs[name] for name in inputs}, store=stand.store,
        scratch=str(stand.folder / "scratch"),
    )  # fmt: skip
    path = stand.folder / f"{kind}.json"
    path.write_text(stage.model_dump_json())
    return path
