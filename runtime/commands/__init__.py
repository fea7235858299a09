"""Commands of `python -m runtime …`, which the CLI starts as its children, and two that run in pods (`in_pod.py`)."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from c2f_spec.errors import C2fError, StageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, so that wrong usage is an error like any other."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=self.format_usage().strip())


def exit_code(command: Callable[[], None]) -> int:
    """Run a command and return its exit code; print a problem as one message on stderr."""
    try:
        command()
    except C2fError as error:
        print(error, file=sys.stderr)
        return int(error.code if isinstance(error, StageError) else error.exit)
    return 0
