"""`python -m runtime stage.json --lock FILE`: process 1 of a stage.   `python -m runtime data …`: see `runtime.data`.
`python -m runtime model …`: see `runtime.model`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    if argv[:1] == ["data"]:
        from runtime.data import main as data

        return data(argv[1:])
    if argv[:1] == ["model"]:
        from runtime.model import main as model

        return model(argv[1:])
    from runtime.supervise import supervise

    parser = argparse.ArgumentParser(prog="python -m runtime", description="Run one stage.")
    parser.add_argument("stage", type=Path, help="the stage file that a target wrote")
    parser.add_argument("--lock", type=Path, help="hold this file for as long as the stage runs")
    args = parser.parse_args(argv)
    return supervise(args.stage, lock=args.lock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
