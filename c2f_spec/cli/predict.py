"""`predict MODEL CLIPS`: predict clips with an exported student. Lines of JSON go to stdout, or to `--out`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import run_runtime

if TYPE_CHECKING:
    from argparse import Namespace


def predict(args: Namespace) -> int:
    argv = ["--out", args.out] if args.out else []
    argv += ["--language", args.language] if args.language else []
    argv += ["--without-text"] if args.without_text else []
    return run_runtime("predict", args.model, args.clips, *argv)[0]
