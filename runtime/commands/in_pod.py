"""Two commands that run in pods: `python -m runtime.commands.in_pod stage.json shell`, or `… weights --to DIR`.

`shell` fetches the inputs of a stage, verified as for the stage, prints where they are, and sleeps for two hours. Nothing is
computed and nothing is written to the store. `c2f-spec shell` starts it in a pod of its own.

`weights` fetches the weights of a stage's teacher for the vLLM server beside it, which cannot read the store. An init
container runs it before vLLM starts. Files are linked where possible, so that a cache on the same volume does not take twice
the space.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.errors import C2fError, StageError, StageExit, Unreachable
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from runtime.process.stage_file import fetch_inputs, read_stage_file

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile

SHELL_SECONDS = 2 * 3600


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime.commands.in_pod")
    parser.add_argument("stage", type=Path)
    verbs = parser.add_subparsers(required=True, dest="verb")
    verbs.add_parser("shell").add_argument("--seconds", type=float, default=SHELL_SECONDS)
    verbs.add_parser("weights").add_argument("--to", type=Path, required=True)
    args = parser.parse_args(argv)
    try:
        stage = read_stage_file(args.stage)
        if args.verb == "shell":
            sleep_with_inputs(stage, args.stage, args.seconds)
        else:
            link_weights(stage, args.to)
    except Unreachable as error:
        print(error, flush=True)
        return StageExit.TRANSIENT
    except StageError as error:
        print(error, flush=True)
        return error.code
    return StageExit.DONE


def sleep_with_inputs(stage: StageFile, path: Path, seconds: float) -> None:
    """Print the folder of each input of `stage`, and sleep."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"stage     {stage.name}: {path}", flush=True)
    try:
        for role, folder in fetch_inputs(stage, open_store(stage.store)).items():
            print(f"{role:<9} {folder}", flush=True)
    except C2fError as error:
        print(f"inputs    {error}", flush=True)  # may be what the user wants to look at
    print(f"run it    {sys.executable} -m runtime {path}", flush=True)
    print(f"asleep for {seconds / 3600:.0f} h", flush=True)
    time.sleep(seconds)


def link_weights(stage: StageFile, to: Path) -> None:
    """Write the weights of the teacher of `stage` to the folder `to`. Raises `Unreachable` if they are not in the store."""
    teacher = stage.preimage["spec"]["teacher"]
    name = f"{teacher['model']}@{teacher['revision']}"
    folder = records.fetch_model(open_store(stage.store), name, stage.preimage["models"][name])
    shutil.rmtree(to, ignore_errors=True)  # of a start that was killed
    shutil.copytree(folder, to, copy_function=_link_or_copy)
    print(f"{name}: {sum(1 for p in to.rglob('*') if p.is_file())} files verified in {to}", flush=True)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, target)
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
