"""How answers look. Answers go to stdout, progress and warnings to stderr; colour only on a terminal, never alone."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.render import render_text, summarise, supports_colour
from c2f_spec.errors import REMEDY, Exit, StageExit, UsageError, sanitize
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.diagnostics.render import Finding
    from c2f_spec.execution.run import Event
    from c2f_spec.plan.compile import Loaded
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


BAR = 12
"""Characters of a progress bar."""
WORDS = {
    "reused": "reused",
    "following": "following",
    "started": "started",
    "done": "done",
    "failed": "FAILED",
    "blocked": "blocked",
}


def note(text: str) -> None:
    print(sanitize(text), file=sys.stderr, flush=True)


def warnings(loaded: Sequence[Loaded]) -> None:
    """Warnings of the checks of a spec's variants, and what this version does not run."""
    from c2f_spec.plan.compile import notes_of, warnings_of

    tell(warnings_of(loaded))
    tell(notes_of(loaded))


def pointer(place: str | None) -> None:
    """The last line of `apply`: where to read."""
    if place is not None:
        print(f"report: {place if '://' in place else relative(Path(place))}")


def relative(path: Path) -> str:
    """A path that can be clicked: relative if it lies below the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def failure(event: Event, objects: ObjectStore, spec: str) -> None:
    """What failed, why, and what to do."""
    found = records.read_failures(objects, event.stage.kind, event.stage.key)
    last = found[-1] if found else {"message": event.detail, "hint": ""}
    kind = f" ({last['class']})" if last.get("class") else ""
    note(f"\n{event.stage.name} ({event.stage.label}) failed{kind}: {last['message']}")
    hint = last.get("hint") or remedy(last)
    if hint:
        note(f"  hint: {hint}")
    note(f"  log:   c2f-spec logs {spec} {event.stage.name}")
    if found:
        note(f"  again: c2f-spec retry {spec} {event.stage.name}, then apply")
    else:
        note(f"  again: c2f-spec apply {spec}")


def remedy(failure: dict[str, Any]) -> str:
    """What to do after a failure that has no hint of its own."""
    code = failure.get("code")
    return REMEDY.get(StageExit(code), "") if code in set(StageExit) else ""


def summary(values: dict[str, Any]) -> str:
    """The first few numbers and words of a stage's summary."""
    plain = [
        (k, v) for k, v in values.items() if isinstance(v, (int, float, str)) and not isinstance(v, bool)
    ]
    return ", ".join(f"{k} {_number(v)}" for k, v in plain[:4])


def progress(stage: Stage, objects: ObjectStore) -> str:
    """`45/100 steps, loss 0.53`, or `starting`."""
    state = progress_of(stage, objects)
    if state is None:
        return "starting"
    values = "".join(f", {k} {_number(v)}" for k, v in state["values"].items())
    return f"{state['done']}/{state['total']} {state['unit']}{values}"


def progress_of(stage: Stage, objects: ObjectStore) -> dict[str, Any] | None:
    """What a running stage last told of itself, if it did."""
    return records.read_progress(objects, stage.kind, stage.key)


def _bar(stage: Stage, objects: ObjectStore, since: float) -> str:
    """`[####------] 45/100 steps, loss 0.53, 12 s left`."""
    state = progress_of(stage, objects)
    if state is None:
        return "starting"
    done, total = state["done"], max(1, state["total"])
    filled = BAR * min(done, total) // total
    left = state.get("eta") or (time.monotonic() - since) * (total - done) / max(1, done)
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {progress(stage, objects)}, {left:.0f} s left"


def _number(value: Any) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:.3g}"
        if isinstance(value, float)
        else sanitize(str(value))
    )


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    clean = [tuple(sanitize(cell) for cell in row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(head, *clean, strict=True)]
    for row in (head, *clean):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Teller:
    """Events as lines; on a terminal a last line that moves with the running stages."""

    def __init__(self, plan: Plan, objects: ObjectStore) -> None:
        self.plan, self.objects = plan, objects
        self.running: dict[str, tuple[Stage, float]] = {}
        self.ended = 0
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def tell(self, event: Event) -> None:
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
            record = records.read_record(self.objects, stage.kind, stage.key)
            detail = summary(record.summary) if record else ""
        self.clear()
        count = f"[{self.ended}/{len(self.plan.stages)}]"
        text = f"{count:>7} {WORDS[event.status]:<9}{took:<9} {stage.name:<20} {stage.label}"
        print(sanitize(f"{text}  {detail}".rstrip()), flush=True)

    def draw(self) -> None:
        """The moving line: what runs, how far it is."""
        if not self.live or not self.running:
            return
        parts = [f"{stage.kind} {_bar(stage, self.objects, since)}" for stage, since in self.running.values()]
        width = shutil.get_terminal_size().columns
        line = f"{'':7} {' | '.join(parts)}"[: width - 1]
        print(f"\r\x1b[2K{sanitize(line)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


# A folder of files that a verb writes whole: what changed is written, what is no longer meant is removed.


def write_folder(folder: Path, wanted: dict[str, str], header: str, *, check: bool, what: str) -> int:
    """Bring the YAML files of `folder` to `wanted`, each of which begins with `header`.

    Files without the header are somebody else's: never removed, and never written over. With `check` nothing is
    written, and the code is 4 if something differs. `what` is what a file that is no longer wanted is not any more.
    """
    there = {p.name: p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.yaml"))}
    stale = [n for n, text in there.items() if n not in wanted and text.startswith(header)]
    foreign = [n for n in wanted if n in there and not there[n].startswith(header)]
    if foreign and not check:
        raise UsageError(f"{folder / foreign[0]} was not written by this spec", hint="choose another folder")
    changed = [n for n, text in wanted.items() if there.get(n) != text]
    if check:
        for word, names in (("differs", changed), (f"no longer {what}", stale)):
            for name in names:
                note(f"{folder / name}: {word if name in there else 'missing'}")
        return Exit.DIFFERENCE if changed or stale else Exit.OK
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        (folder / name).write_text(wanted[name], encoding="utf-8")
        print(f"wrote {folder / name}")
    for name in stale:
        (folder / name).unlink()
        print(f"removed {folder / name}: no longer {what}")
    return Exit.OK


# Problems as people read them: the same text from every verb, on stderr, with a count at the end.
#
# Colour only repeats what a word or sign says already, and only where somebody looks: a terminal, unless `NO_COLOR`
# (https://no-color.org) or `TERM=dumb`; `FORCE_COLOR` says yes where no terminal is seen, as in CI logs.


def tell(found: Iterable[Finding]) -> None:
    """Print problems to stderr."""
    colour = supports_colour(sys.stderr)
    for finding in found:
        print(render_text(finding, colour=colour), file=sys.stderr)


def tell_all(found: Sequence[Finding]) -> None:
    """Every problem, then the count."""
    tell(found)
    if total := summarise(found):
        print(total, file=sys.stderr)
