"""What a stage is given: its section of the spec, verified inputs, a folder for outputs, and a way to tell progress."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from c2f_spec.errors import StageSpecWrong
from c2f_spec.spec.sections import Format, Media, QwenOmni
from c2f_spec.spec.support import shown, unsupported
from runtime.process.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore
    from runtime.checkpoints.resume import VerifiedCheckpoint


T = TypeVar("T")

PROGRESS_SECONDS = (0.5, 5.0)
"""Between two tellings of progress: in a folder, and in a bucket, where each is a request that is paid for."""

METRICS = "metrics.jsonl"
"""What a stage logged, a line a step, among its outputs."""


@dataclass
class Context:
    """One attempt at one stage, seen from inside."""

    stage: StageFile
    inputs: Mapping[str, Path]
    """Role to folder of a committed output, verified. Read only."""
    out: Path
    """Whatever lies here when the stage returns is committed, whole."""
    store: ObjectStore
    rank: int = 0
    world: int = 1
    attempt: str = "attempt"
    checkpoint: VerifiedCheckpoint | None = None
    """The checkpoint that a stage which trains goes on from."""
    measured: dict[str, float] = field(default_factory=dict)
    """What the stage cost here; recorded, never keyed."""
    _last: float = field(default=0.0, repr=False)
    _first: tuple[float, int] | None = field(default=None, repr=False)
    """When this attempt first told of its progress, and how far it was then."""

    def section(self, name: str, kind: Any) -> Any:
        """The section `name` of the spec, as a model; what the preimage leaves out is at its default."""
        given = self._with_endpoint(name, self.stage.preimage["spec"].get(name, {}))
        section = TypeAdapter(kind).validate_python(given)
        refuse_unsupported(section, name)
        return self._with_attention(section)

    def _with_attention(self, section: Any) -> Any:
        """With what the placement says of it: that is in no key, and so not in the preimage."""
        place = self.stage.placement
        if isinstance(section, QwenOmni) and place.attention is not None:
            return section.model_copy(update={"attention": place.attention})
        return section

    def _with_endpoint(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """A section with the endpoint that it must name, which is in no key and so not in the preimage either."""
        endpoint = self.stage.placement.endpoint
        if endpoint is None or endpoint.url is None:
            return given
        if name == "teacher" and given.get("kind") == "openai":
            return {"endpoint": endpoint.url, **given}
        if name == "filters" and given.get("judge") is not None:
            return {**given, "judge": {"endpoint": endpoint.url, **given["judge"]}}
        return given

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
        """Append metrics of one step. They are committed with the outputs and replayed to tracking by the launcher."""
        if self.rank == 0:
            with (self.out / METRICS).open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")

    def progress(self, done: int, total: int, unit: str, **values: float) -> None:
        """Tell how far the stage is; shown by `status` and while `apply` waits. At most every `TELL_SECONDS`.

        Each call is a step of the stage: one that does not come in time after the first means that it hangs.
        """
        if done:  # what comes before the first, a model that is loaded for one, takes what it takes
            self._heart.beat(last=done >= total)
        now = time.monotonic()
        name = f"work/{self.stage.kind}/{self.stage.key}/progress.json"
        often = PROGRESS_SECONDS[self.store.local(name) is None]
        if self.rank != 0 or (now - self._last < often and done < total):
            return
        self._last = now
        self._first = self._first or (now, done)
        state = {"done": done, "total": total, "unit": unit, "time": time.time(), "values": values}
        began, before = self._first
        if done > before:  # what was done before this attempt says nothing of how fast it is
            rate = (done - before) / (now - began)
            state |= {"rate": round(rate, 6), "eta": round((total - done) / rate, 1)}
        self.store.replace(name, json.dumps(state).encode())


def refuse_unsupported(section: Any, *at: str) -> None:
    """Raises `StageSpecWrong` for a value that this version would ignore: the compiler's table, asked once more."""
    for path, value in unsupported(section, at):
        raise StageSpecWrong(
            f"`{'.'.join(path)}: {shown(value)}` is not run by this version",
            hint="`c2f-spec validate` names the place in the spec",
        )
