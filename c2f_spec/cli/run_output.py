"""A run on the terminal: events as lines, progress, failures with their remedy, and Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.cli.output import note, relative
from c2f_spec.errors import REMEDY, StageExit, sanitize
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore

BAR = 12
"""Characters of a progress bar."""


class EventPrinter:
    """Print events as lines, and on a terminal a last line that moves with the running stages."""

    def __init__(self, plan: Plan, store: ObjectStore) -> None:
        self.plan, self.store = plan, store
        self.running: dict[str, tuple[Stage, float]] = {}
        self.ended = 0
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def print_event(self, event: Event) -> None:
        stage, now = event.stage, time.monotonic()
        _, since = self.running.pop(stage.key, (stage, now))
        if event.final:
            self.ended += 1
        else:
            self.running[stage.key] = (stage, now)
        if event.status == "reused":
            return
        took, detail = "", event.detail
        if event.status == "done":
            took = f" {now - since:6.1f} s"
            record = records.read_record(self.store, stage.kind, stage.key)
            detail = describe_summary(record.summary) if record else ""
        self.clear()
        count = f"[{self.ended}/{len(self.plan.stages)}]"
        text = f"{count:>7} {status_word(event):<9}{took:<9} {stage.name:<20} {stage.label}"
        print(sanitize(f"{text}  {detail}".rstrip()), flush=True)

    def draw(self) -> None:
        """Draw the moving line: the running stages, each with its progress."""
        if not self.live or not self.running:
            return
        parts = [f"{stage.kind} {self._bar(stage, since)}" for stage, since in self.running.values()]
        width = shutil.get_terminal_size().columns
        line = f"{'':7} {' | '.join(parts)}"[: width - 1]
        print(f"\r\x1b[2K{sanitize(line)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)

    def _bar(self, stage: Stage, since: float) -> str:
        """Return `[####------] 45/100 steps, loss 0.53, 12 s left`."""
        state = records.read_progress(self.store, stage.kind, stage.key)
        if state is None:
            return "starting"
        done, total = state["done"], max(1, state["total"])
        filled = BAR * min(done, total) // total
        left = state.get("eta") or (time.monotonic() - since) * (total - done) / max(1, done)
        return f"[{'#' * filled}{'-' * (BAR - filled)}] {describe_progress(state)}, {left:.0f} s left"


def status_word(event: Event) -> str:
    """Return the status of an event, in capitals if it is a failure."""
    return "FAILED" if event.status == "failed" else event.status


def print_failure(event: Event, store: ObjectStore, spec: str) -> None:
    """Print which stage failed, why, and what to do. `spec` is the spec as the next command names it."""
    stage = event.stage
    failures = records.read_failures(store, stage.kind, stage.key)
    last = failures[-1] if failures else {"message": event.detail, "hint": ""}
    kind = f" ({last['class']})" if last.get("class") else ""
    print(file=sys.stderr)
    note(f"{stage.name} ({stage.label}) failed{kind}: {last['message']}")
    hint = last.get("hint") or find_remedy(last)
    if hint:
        note(f"  hint: {hint}")
    note(f"  log:   c2f-spec logs {spec} {stage.name}")
    if failures:
        note(f"  again: c2f-spec retry {spec} {stage.name}, then apply")
    else:
        note(f"  again: c2f-spec apply {spec}")


def find_remedy(failure: dict[str, Any]) -> str:
    """Return what to do after a failure that has no hint."""
    code = failure.get("code")
    return REMEDY.get(StageExit(code), "") if code in set(StageExit) else ""


def print_report_place(place: str | None) -> None:
    """Print where the report is: the last line of `apply`."""
    if place is not None:
        print(f"report: {place if '://' in place else relative(Path(place))}")


def describe_summary(values: dict[str, Any]) -> str:
    """Return the first four numbers and words of a stage's summary."""
    plain = [
        (k, v) for k, v in values.items() if isinstance(v, (int, float, str)) and not isinstance(v, bool)
    ]
    return ", ".join(f"{k} {_format_value(v)}" for k, v in plain[:4])


def describe_progress(state: dict[str, Any]) -> str:
    """Return `45/100 steps, loss 0.53`."""
    values = "".join(f", {k} {_format_value(v)}" for k, v in state["values"].items())
    return f"{state['done']}/{state['total']} {state['unit']}{values}"


def _format_value(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else sanitize(str(value))


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Yield a function that raises `KeyboardInterrupt` if SIGINT or SIGTERM came; a second signal raises at once.

    Python raises `KeyboardInterrupt` at any instruction, and in a destructor or in the middle of an import it is
    swallowed, so the loop checks where it waits.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    received: list[int] = []

    def receive(number: int, _frame: object) -> None:
        received.append(number)
        for each in numbers:
            signal.signal(each, signal.default_int_handler)

    def check() -> None:
        if received:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
