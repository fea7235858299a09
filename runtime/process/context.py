"""The context that a stage runs in: its sections of the spec, verified inputs, an output folder, and its progress.

Each worker makes one and passes it to `run` of the stage's module.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.sections import Format, Media, QwenOmni
from c2f_spec.spec.support import format_value, unsupported
from runtime.process.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore
    from runtime.checkpoints.manifest import VerifiedCheckpoint


T = TypeVar("T")

PROGRESS_SECONDS = (0.5, 5.0)
"""Seconds between two writes of the progress: in a folder, and in a bucket, where each is a request that is paid for."""

METRICS = "metrics.jsonl"
"""Output file with the metrics that a stage logged, a line a step."""


@dataclass
class Context:
    """One attempt at one stage, as one of its workers has it."""

    stage: StageFile
    inputs: Mapping[str, Path]
    """Folder of each input by role, verified. Read only."""
    out: Path
    """Output folder: everything in it is committed when the stage returns."""
    store: ObjectStore
    rank: int = 0
    world: int = 1
    attempt: str = "attempt"
    checkpoint: VerifiedCheckpoint | None = None
    """The checkpoint that a training resumes from."""
    measured: dict[str, float] = field(default_factory=dict)
    """Measured cost of the stage on this machine; recorded, in no key."""
    _last: float = field(default=0.0, repr=False)
    _first: tuple[float, int] | None = field(default=None, repr=False)
    """Time of this attempt's first progress, and what was done then."""

    def section(self, name: str, kind: Any) -> Any:
        """Return section `name` of the spec as a `kind`; fields that the preimage leaves out have their defaults.

        Raises `InvalidStageSpec` for a value that this version does not support.
        """
        fields = self._with_endpoint(name, self.stage.preimage["spec"].get(name, {}))
        section = TypeAdapter(kind).validate_python(fields)
        refuse_unsupported(section, name)
        return self._with_attention(section)

    def _with_attention(self, section: Any) -> Any:
        """Return a student's section with the attention of the placement, which is in no key and so not in the preimage."""
        place = self.stage.placement
        if isinstance(section, QwenOmni) and place.attention is not None:
            return section.model_copy(update={"attention": place.attention})
        return section

    def _with_endpoint(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a section with the URL of the endpoint, which is in no key and so not in the preimage."""
        endpoint = self.stage.placement.endpoint
        if endpoint is None or endpoint.url is None:
            return fields
        if name == "teacher" and fields.get("kind") == "openai":
            return {"endpoint": endpoint.url, **fields}
        if name == "filters" and fields.get("judge") is not None:
            return {**fields, "judge": {"endpoint": endpoint.url, **fields["judge"]}}
        return fields

    @cached_property
    def format(self) -> Any:
        return self.section("format", Format)

    @cached_property
    def media(self) -> Media:
        media: Media = self.section("media", Media)
        return media

    @property
    def seed(self) -> int:
        return int(self.stage.preimage["spec"].get("seed", 42))

    @cached_property
    def _heart(self) -> Heartbeat:
        return Heartbeat(self.rank, self.stage.placement.hang_seconds)

    def log(self, step: int, **values: float) -> None:
        """Append metrics of one step. They are committed with the outputs, and the launcher sends them to tracking."""
        if self.rank == 0:
            with (self.out / METRICS).open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        """Report progress, which `status` and a waiting `apply` print; written at most every `PROGRESS_SECONDS`.

        Each call is a step of the stage: a step after the first that takes too long means that the stage hangs.
        """
        if done:  # work before the first step, like loading a model, has no limit
            self._heart.beat(last=done >= total)
        now = time.monotonic()
        name = f"work/{self.stage.kind}/{self.stage.key}/progress.json"
        pause = PROGRESS_SECONDS[self.store.local(name) is None]
        if self.rank != 0 or (now - self._last < pause and done < total):
            return
        self._last = now
        self._first = self._first or (now, done)
        state = {"done": done, "total": total, "unit": unit, "time": time.time(), "values": values}
        began, before = self._first
        if done > before:  # steps of earlier attempts say nothing about the rate of this one
            rate = (done - before) / (now - began)
            state |= {"rate": round(rate, 6), "eta": round((total - done) / rate, 1)}
        self.store.replace(name, json.dumps(state).encode())


def refuse_unsupported(section: Any, *at: str) -> None:
    """Raise `InvalidStageSpec` for a value that this version would ignore, by the table that the compiler uses too."""
    for path, value in unsupported(section, at):
        raise InvalidStageSpec(
            f"`{'.'.join(path)}: {format_value(value)}` is not supported by this version",
            hint="run `c2f-spec validate`, which names the place in the spec",
        )
