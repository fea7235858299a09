"""Every error that a user can cause, with its exit code, and the exit codes of stages.

Two tables that must not be confused, so both live here: `Exit` is what the command `c2f-spec` returns, `StageExit`
what a stage returns to its launcher (DESIGN: "Command line", "Runtime contract").
"""

from __future__ import annotations

import re
from enum import IntEnum

COMMAND = re.compile(r"(^\s*:(?=:)|#(?=#\w*\[))")
"""What GitHub's and Azure's runners take for a command when it is printed, wherever a job prints it."""


class Exit(IntEnum):
    """Exit codes of the command."""

    OK = 0
    UNEXPECTED = 1
    CHANGES = 2
    SPEC_INVALID = 3
    DIFFERENCE = 4
    STALE = 5
    DENIED = 6
    UNREACHABLE = 7
    STAGE_FAILED = 8
    USAGE = 64
    INTERRUPTED = 130


class StageExit(IntEnum):
    """Exit codes of a stage: the contract between the runtime and whatever launched it."""

    DONE = 0
    SPEC = 64
    DATA = 65
    BUG = 70
    MEMORY = 71
    DIVERGED = 72
    TRANSIENT = 75
    STOPPED = 77

    @property
    def permanent(self) -> bool:
        """Running the same stage again, unchanged, would end the same way."""
        return self in (StageExit.SPEC, StageExit.DATA, StageExit.BUG, StageExit.MEMORY, StageExit.DIVERGED)


MEANING: dict[StageExit, str] = {
    StageExit.DONE: "done",
    StageExit.SPEC: "the spec or the environment is wrong",
    StageExit.DATA: "the data is wrong",
    StageExit.BUG: "a bug",
    StageExit.MEMORY: "out of memory",
    StageExit.DIVERGED: "training went wrong",
    StageExit.TRANSIENT: "storage, network or a neighbour failed; worth another try",
    StageExit.STOPPED: "stopped after saving",
}

REMEDY: dict[StageExit, str] = {
    StageExit.SPEC: "correct what the message names; the corrected stage has a key of its own and needs no `retry`",
    StageExit.DATA: "correct the data and stage it again (`data add`); the stage then has a key of its own",
    StageExit.BUG: "read the log; after a correction of the code `apply` runs it, as it is `retry` runs it again",
    StageExit.MEMORY: "lower what the message names, or move the stage to a pool with more memory, then `retry`",
    StageExit.DIVERGED: "lower the learning rate or raise beta: a new key; `retry` goes on from the last good checkpoint",
    StageExit.TRANSIENT: "it was tried again as often as allowed; look at storage and network, then `retry`",
    StageExit.STOPPED: "`apply` goes on from its checkpoint",
}
"""What to do after each way to end, where the stage's own message has no better hint."""


class C2fError(Exception):
    """A problem to tell the user about in one message: what is wrong, where, and the way out."""

    exit = Exit.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InvalidSpec(C2fError):
    """What is wrong with a spec, or with what it needs, as a whole; `SpecErrors` has the places."""

    exit = Exit.SPEC_INVALID

    def __init__(self, message: str, *, hint: str = "", code: str = "", file: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        """What `explain` takes, where there is more to tell."""
        self.file = file
        """The file it is about, for formats that want one."""

    def __str__(self) -> str:
        first = f"{self.message} [{self.code}]" if self.code else self.message
        return f"{first}\n  hint: {self.hint}" if self.hint else first


def sanitize(text: str) -> str:
    """A line without characters that a terminal would obey; a spec may come from a stranger.

    Nor does it read as a command to the log of a CI job, `::error …` or `##[add-path]…`: those are parted by a space.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\ufffd" if c != "\t" else " " for c in text)
    return COMMAND.sub(r"\1 ", text) if "::" in text or "##" in text else text


def shorten(text: str, most: int = 40) -> str:
    """`text`, or its start: a message is a line, and a spec may hold a name of a million characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


class Unreachable(C2fError):
    """The store or the cluster cannot be reached, read or written."""

    exit = Exit.UNREACHABLE


class StalePlan(C2fError):
    """A saved plan is not what would run now."""

    exit = Exit.STALE


class Denied(C2fError):
    """A rule of the place refuses what is asked: policy, budget, or a tree that nobody else can fetch."""

    exit = Exit.DENIED


class Damaged(Unreachable):
    """What was stored is missing or is not what was recorded: to ask again will not help, and an older copy may do."""


class UsageError(C2fError):
    exit = Exit.USAGE


class StageError(C2fError):
    """Raised inside a stage; `code` is what its process returns."""

    code = StageExit.BUG


class InvalidStageSpec(StageError):
    code = StageExit.SPEC


class InvalidData(StageError):
    code = StageExit.DATA


class OutOfMemory(StageError):
    code = StageExit.MEMORY


class Diverged(StageError):
    code = StageExit.DIVERGED


class Stopped(StageError):
    code = StageExit.STOPPED
