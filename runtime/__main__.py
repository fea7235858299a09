"""Run a stage: `python -m runtime stage.json --lock FILE`, or a command: `python -m runtime data|export|model|predict …`.

A target starts the first form as process 1 of a stage (`runtime.process.supervise`); the CLI starts the second as its child
(`runtime.commands`).
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

COMMANDS = ("data", "export", "model", "predict")


def main(argv: list[str]) -> int:
    if argv and argv[0] in COMMANDS:
        code: int = import_module(f"runtime.commands.{argv[0]}").main(argv[1:])
        return code
    from runtime.process.supervise import supervise

    parser = argparse.ArgumentParser(prog="python -m runtime", description="Run one stage.")
    parser.add_argument("stage", type=Path, help="the stage file that a target wrote")
    parser.add_argument("--lock", type=Path, help="hold this file for as long as the stage runs")
    args = parser.parse_args(argv)
    return supervise(args.stage, lock=args.lock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
