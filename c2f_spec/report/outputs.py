"""Read committed outputs of stages. A stage without results has a reason in words, never an exception.

`report.json` names the plan, the stages and the copies of data that a report shows. It stands beside the pages in the
store, and `gc` decides by it what a report still needs, never by the words on its pages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import Unreachable
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from c2f_spec.plan.model import Plan, Stage, Variant
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore

REFERENCES_FILE = "report.json"
REFERENCES_VERSION = 1


@dataclass(frozen=True, slots=True)
class StageLine:
    key: str
    name: str
    label: str
    state: str
    """`done`, or the reason why not."""
    seconds: float | None
    attempt: str
    summary: str


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a stage, or the reason why there is none."""

    stage: Stage
    record: Record | None
    store: ObjectStore
    state: str
    """Empty if the files can be read, else the reason."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Return the provenance from the record; empty without a record."""
        return self.record.provenance if self.record else {}

    @property
    def dirty(self) -> bool:
        """Return whether the stage was launched from a tree that was not as committed, or that no remote had."""
        origin = self.provenance.get("origin") or {}
        return bool(origin.get("changed") or origin.get("patch"))

    def file(self, name: str) -> Path | None:
        """Return a verified file of the output if the record names it. So no name taken from data can leave the folder.

        Raises `Unreachable` naming a file that was changed since it was committed.
        """
        if self.record is None or self.state or name not in self.record.files:
            return None
        return records.fetch_file(self.store, self.record, name)

    def rows(self, name: str, without: str = "") -> list[dict[str, Any]]:
        """Return the objects of a file of JSON lines, without the field `without`; other lines are skipped."""
        path = self.file(name)
        return list(_objects(path, without)) if path is not None else []

    def json(self, name: str) -> dict[str, Any]:
        path = self.file(name)
        value = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions of a checkpoint on a data set, without the text of the answers."""

    stage: Stage | None
    rows: list[dict[str, Any]]
    """Rows of predictions.jsonl without `output`, which is most of it."""
    state: str
    """Empty if there are rows, else the reason."""


class Outputs:
    """The outputs of a plan's stages, each read from the store once."""

    def __init__(self, plan: Plan, objects: ObjectStore) -> None:
        self.plan, self.store = plan, objects
        self._known: dict[str, Output] = {}
        self._answers: dict[str, Answers] = {}
        self._clips: dict[str, list[dict[str, Any]]] = {}

    def output(self, key: str) -> Output:
        if key not in self._known:
            self._known[key] = self._load(self.plan.stage(key))
        return self._known[key]

    def find(self, variant: Variant, kind: str, **spec: str) -> Output | None:
        """Return the variant's first stage of a kind whose section of the spec agrees with `spec`."""
        for key in variant.stages:
            stage = self.plan.stage(key)
            if stage.kind == kind and all(
                stage.preimage.get("spec", {}).get(k) == v for k, v in spec.items()
            ):
                return self.output(key)
        return None

    def answers(self, variant: Variant, checkpoint: str, dataset: str) -> Answers:
        """Return predictions, read once for all variants that share the evaluation."""
        output = self.find(variant, "evaluate", checkpoint=checkpoint, dataset=dataset)
        if output is None:
            return Answers(None, [], "not in the plan")
        key = output.stage.key
        if key not in self._answers:
            rows = output.rows("predictions.jsonl", without="output")
            self._answers[key] = Answers(
                output.stage, rows, output.state or ("" if rows else "no predictions")
            )
        return self._answers[key]

    def clips(self, variant: Variant, dataset: str) -> list[dict[str, Any]]:
        """Return the manifest of a prepared data set; empty if it was not prepared."""
        output = self.find(variant, "prepare", dataset=dataset)
        if output is None:
            return []
        if output.stage.key not in self._clips:
            self._clips[output.stage.key] = output.rows("manifest.jsonl")
        return self._clips[output.stage.key]

    def lines(self) -> tuple[StageLine, ...]:
        return tuple(self._line(stage) for stage in self.plan.stages)

    def _load(self, stage: Stage) -> Output:
        try:
            record = records.read_record(self.store, stage.kind, stage.key)
        except Unreachable as error:
            return Output(stage, None, self.store, error.message)
        if record is None:
            return Output(stage, None, self.store, self._absent(stage))
        state = (
            ""
            if records.files_present(self.store, record)
            else "damaged: files are missing or have another size"
        )
        return Output(stage, record, self.store, state)

    def _absent(self, stage: Stage) -> str:
        if not records.is_failed(self.store, stage.kind, stage.key):
            return "not run"
        failed = records.read_failures(self.store, stage.kind, stage.key)
        message = " ".join(str(failed[-1].get("message", "")).split())
        return f"failed: {message}" if message else "failed"

    def _line(self, stage: Stage) -> StageLine:
        output = self.output(stage.key)
        record = output.record
        seconds = record.provenance.get("seconds", {}) if record else {}
        return StageLine(
            key=stage.key,
            name=stage.name,
            label=f"{stage.label} (dirty tree)" if output.dirty else stage.label,
            state=output.state or "done",
            seconds=float(sum(seconds.values())) if seconds else None,
            attempt=record.attempt if record else "",
            summary=", ".join(f"{k} {_short(v)}" for k, v in record.summary.items()) if record else "",
        )


def _objects(path: Path, without: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                value = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(value, dict):
                value.pop(without, None)
                yield value


def _short(value: Any) -> str:
    """Format a value of a summary: floats with four digits, maps as `a 1, b 2` in brackets."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + ")"
    return str(value)


class References(NamedTuple):
    """The objects of a store that a report refers to."""

    plan: str
    """Digest of the plan."""
    stages: frozenset[str]
    """Keys."""
    copies: frozenset[str]
    """Staged data sets and models: `datasets/<name>/<digest>`, `models/<repository>/<revision>/<digest>`."""


def references_json(plan: Plan) -> str:
    """Return the content of `report.json` for a report of `plan`."""
    value = {
        "format_version": REFERENCES_VERSION,
        "plan": plan.digest,
        "stages": {stage.key: stage.label for stage in plan.stages},
        "copies": sorted({copy for stage in plan.stages for copy in copies_read(stage.preimage)}),
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def parse_references(data: bytes) -> References | None:
    """Parse a `report.json`; return `None` if it is not of this version or damaged."""
    try:
        value = json.loads(data)
        if value["format_version"] != REFERENCES_VERSION:
            return None
        return References(str(value["plan"]), frozenset(value["stages"]), frozenset(value["copies"]))
    except (ValueError, TypeError, KeyError):
        return None


def copies_read(preimage: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of the staged copies that a stage with this preimage reads."""
    data, models = preimage.get("data"), preimage.get("models")
    if isinstance(data, dict):
        yield f"datasets/{data['name']}/{data['digest']}"
    if isinstance(models, dict):
        yield from (f"models/{name.replace('@', '/')}/{digest}" for name, digest in models.items())
