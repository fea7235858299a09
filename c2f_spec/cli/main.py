"""The entry point: parse the arguments, call one verb, return its exit code.

A verb's module is imported when it is called: `--help` and a typing mistake must not wait for pydantic, nor `validate`,
which editors and hooks call often, for what other verbs need.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from c2f_spec.cli.arguments import parse_arguments
from c2f_spec.errors import C2fError, Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = {
    **dict.fromkeys(("logs", "shell", "cancel", "retry", "delete"), "plan_control"),
    **dict.fromkeys(("get", "predict"), "export"),
    "model": "data",
    "schema": "explain",
}
"""Verbs whose module has another name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `argv`, or the arguments of this process, and return the exit code. Raise `SystemExit` on wrong usage."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    # A plugin of some installed package could change what is valid, and to look for one reads the files of all packages.
    # https://docs.pydantic.dev/latest/concepts/plugins/
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        module = import_module(f"c2f_spec.cli.{MODULES.get(args.verb, args.verb)}")
        code: int = getattr(module, args.verb)(args)
        sys.stdout.flush()
    except C2fError as error:
        from c2f_spec.cli.output import print_findings
        from c2f_spec.diagnostics.render import findings

        print_findings(findings(error))
        return error.exit
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader has ended, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code
