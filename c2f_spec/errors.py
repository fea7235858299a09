"""Every error that a user can cause, with its exit code, and the exit codes of stages.

Two tables that must not be confused, so both live here: `Exit` is what the command `c2f-spec` returns, `StageExit`
what a stage returns to its launcher (DESIGN: "Command line", "Runtime contract").
"""

from __future__ import annotations

from enum import IntEnum


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


class C2fError(Exception):
    """A problem to tell the user about in one message: what is wrong, where, and the way out."""

    exit = Exit.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class SpecInvalid(C2fError):
    exit = Exit.SPEC_INVALID


class PlanStale(C2fError):
    exit = Exit.STALE


class Unreachable(C2fError):
    """The store or the cluster cannot be reached, read or written."""

    exit = Exit.UNREACHABLE


class WrongUsage(C2fError):
    exit = Exit.USAGE


class StageError(C2fError):
    """Raised inside a stage; `code` is what its process returns."""

    code = StageExit.BUG


class StageSpecWrong(StageError):
    code = StageExit.SPEC


class DataWrong(StageError):
    code = StageExit.DATA


class OutOfMemory(StageError):
    code = StageExit.MEMORY


class Diverged(StageError):
    code = StageExit.DIVERGED


class Transient(StageError):
    code = StageExit.TRANSIENT


class Stopped(StageError):
    code = StageExit.STOPPED
