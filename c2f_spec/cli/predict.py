"""`predict MODEL CLIPS`: what an exported student says of clips. Lines of JSON on stdout, or in `--out`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.runtime_process import runtime

if TYPE_CHECKING:
    from argparse import Namespace


def predict(args: Namespace) -> int:
    argv = ["--out", args.out] if args.out else []
    argv += ["--language", args.language] if args.language else []
    argv += ["--without-text"] if args.without_text else []
    return runtime("predict", args.model, args.clips, *argv)
