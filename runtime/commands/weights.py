"""Fetch the weights of a stage's teacher for the vLLM server beside it: `python -m runtime.commands.weights stage.json --to DIR`.

An init container runs it before vLLM starts, which cannot read the store. Files are linked where possible, so that a cache
on the same volume does not take twice the space.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import sys
from pathlib import Path

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import StageFile
from c2f_spec.store import records
from c2f_spec.store.open import open_store


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime.commands.weights")
    parser.add_argument("stage", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args(argv)
    stage = StageFile.model_validate_json(args.stage.read_bytes())
    teacher = stage.preimage["spec"]["teacher"]
    name = f"{teacher['model']}@{teacher['revision']}"
    try:
        folder = records.fetch_model(open_store(stage.store), name, stage.preimage["models"][name])
    except Unreachable as error:
        print(error, flush=True)
        return StageExit.TRANSIENT
    shutil.rmtree(args.to, ignore_errors=True)  # of a start that was killed
    shutil.copytree(folder, args.to, copy_function=_link_or_copy)
    print(
        f"{name}: {sum(1 for p in args.to.rglob('*') if p.is_file())} files verified in {args.to}", flush=True
    )
    return StageExit.DONE


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
