"""Define the errors that a user can cause, with their exit codes, and the exit codes of stages.

The two tables must not be confused, so both are in this module: `Exit` has the codes of the command `c2f-spec`,
`StageExit` those that a stage returns to its launcher (DESIGN: "Command line", "Runtime contract").
"""

from __future__ import annotations

import re
from enum import IntEnum

COMMAND = re.compile(r"(^\s*:(?=:)|#(?=#\w*\[))")
"""Text that the runners of GitHub and Azure execute as a command when a job prints it."""


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
    """Exit codes of a stage: the contract between the runtime and its launcher."""

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
        """True if the same stage, run again unchanged, would fail again."""
        return self in (StageExit.SPEC, StageExit.DATA, StageExit.BUG, StageExit.MEMORY, StageExit.DIVERGED)


MEANING: dict[StageExit, str] = {
    StageExit.DONE: "done",
    StageExit.SPEC: "invalid spec or environment",
    StageExit.DATA: "invalid data",
    StageExit.BUG: "internal error",
    StageExit.MEMORY: "out of memory",
    StageExit.DIVERGED: "training diverged",
    StageExit.TRANSIENT: "temporary failure of storage, network or another process",
    StageExit.STOPPED: "stopped after saving a checkpoint",
}

REMEDY: dict[StageExit, str] = {
    StageExit.SPEC: "correct the spec or the environment as the message says; the stage then has a new key and needs no `retry`",
    StageExit.DATA: "correct the data and run `c2f-spec data add` again; the stage then has a new key and needs no `retry`",
    StageExit.BUG: "read the log and correct the code, then run `apply`; to run the unchanged stage again use `retry`",
    StageExit.MEMORY: "lower the field that the message names, or use a pool with more memory, then run `retry`",
    StageExit.DIVERGED: "lower the learning rate or raise beta, or run `retry` to resume from the last good checkpoint",
    StageExit.TRANSIENT: "check storage and network, then run `retry`: all automatic retries failed",
    StageExit.STOPPED: "run `apply` to resume from the checkpoint",
}
"""Hints for each exit code, where the stage's own message has none."""


class C2fError(Exception):
    """A problem that a user can solve: a message, and a hint how."""

    exit = Exit.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InvalidSpec(C2fError):
    """A spec, or a file that it needs, is invalid as a whole; `SpecErrors` has the places."""

    exit = Exit.SPEC_INVALID

    def __init__(self, message: str, *, hint: str = "", code: str = "", file: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        """The diagnostic code for `c2f-spec explain`, or `""`."""
        self.file = file
        """The invalid file, or `""`."""

    def __str__(self) -> str:
        first = f"{self.message} [{self.code}]" if self.code else self.message
        return f"{first}\n  hint: {self.hint}" if self.hint else first


def sanitize(text: str) -> str:
    """Return a line without control characters, which a terminal would obey: a spec may come from an untrusted author.

    A command to the log of a CI job, `::error …` or `##[add-path]…`, is made ineffective by a space.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\ufffd" if c != "\t" else " " for c in text)
    return COMMAND.sub(r"\1 ", text) if "::" in text or "##" in text else text


def shorten(text: str, most: int = 40) -> str:
    """Return `text`, cut to `most` characters: a spec may contain a name of a million characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


class Unreachable(C2fError):
    """The store or the cluster cannot be reached, read or written."""

    exit = Exit.UNREACHABLE


class StalePlan(C2fError):
    """A saved plan differs from what would run now."""

    exit = Exit.STALE


class Denied(C2fError):
    """A rule of the environment denies the request: a policy, a budget, or uncommitted code."""

    exit = Exit.DENIED


class Damaged(Unreachable):
    """A stored object is missing or differs from its record: a retry does not help, an older copy may."""


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
