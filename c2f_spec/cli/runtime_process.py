"""Work that needs torch or media: done by `python -m runtime`, a child process (DESIGN 2)."""

from __future__ import annotations

import subprocess
import sys

from c2f_spec.errors import Exit, StageExit

PASSED_ON = (Exit.OK, Exit.USAGE, Exit.UNREACHABLE)


def runtime(*argv: str) -> int:
    """The child's exit code as ours. It prints its answer, and its problems, itself."""
    return _code(subprocess.run(_command(argv), check=False).returncode)


def asked(*argv: str) -> tuple[int, str]:
    """The same, and what it printed on stdout, which is not shown."""
    child = subprocess.run(_command(argv), stdout=subprocess.PIPE, text=True, check=False)
    return _code(child.returncode), child.stdout


def _command(argv: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "runtime", *argv]


def _code(code: int) -> int:
    if code == StageExit.DATA:
        return Exit.DIFFERENCE
    return code if code in PASSED_ON else Exit.UNEXPECTED
