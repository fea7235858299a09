"""Arguments in, one verb, an exit code out.

The verbs are imported when one is called: `--help` and a typing mistake must not wait for pydantic, and `validate`,
which editors and hooks call often, not for what the other verbs need.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import c2f_spec
from c2f_spec.cli.arguments import planning, running, storing, writing
from c2f_spec.cli.arguments.common import Parser, common
from c2f_spec.errors import C2fError, Exit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

MODULES = {"equivalent": "diff", "schema": "explain"}
"""Verbs that share the module of another; every other verb has a module of its own name."""

AFTER_DASHES = ("diff", "equivalent")

EPILOG = """\
examples:
  c2f-spec init specs/mine.yaml
  c2f-spec validate specs/demo.yaml
  c2f-spec plan specs/demo.yaml --on local --set grpo.beta=0.2
  c2f-spec expand specs/ablations.yaml
  c2f-spec apply specs/demo.yaml --on local

exit codes: 0 done, or nothing to do; 1 unexpected error; 2 changes pending (--detailed-exitcode);
3 the spec is invalid; 4 a check found a difference; 5 the plan is stale; 6 denied by policy;
7 the store cannot be reached; 8 a stage failed; 64 wrong usage; 130 interrupted
"""


def parser() -> Parser:
    root = Parser(
        prog="c2f-spec",
        description="One typed YAML file for a whole experiment: validate it, plan it, run it.",
        epilog=EPILOG,
    )
    root.add_argument("--version", action="version", version=f"c2f-spec {c2f_spec.VERSION}")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    shared = common()
    for family in (writing, planning, running, storing):
        family.add(verbs, shared)
    return root


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """As for git, paths may follow `--` after revisions and options; argparse would call them unknown."""
    revisions = len(argv) > 1 and argv[0] in AFTER_DASHES and argv[1] != "--"
    if not (revisions and "--" in argv[2:]):
        return parser().parse_args(argv)
    end = list(argv).index("--", 2)
    args = parser().parse_args(argv[:end])
    args.what += argv[end + 1 :]
    return args


def main(argv: Sequence[str]) -> int:
    args = parsed(argv)
    try:
        code = _call(args)
        sys.stdout.flush()
    except C2fError as error:
        from c2f_spec.cli.output import tell_all
        from c2f_spec.diagnostics.render import findings

        tell_all(findings(error))
        return error.exit
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `| head` had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def _call(args: argparse.Namespace) -> int:
    if args.verb == "version":
        print(f"c2f-spec {c2f_spec.VERSION}")
        return Exit.OK
    from importlib import import_module

    module = import_module(f"c2f_spec.cli.{MODULES.get(args.verb, args.verb)}")
    code: int = getattr(module, args.verb)(args)
    return code
