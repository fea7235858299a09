"""argparse as we use it, and the arguments that many verbs take."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from typing import Any, NamedTuple, NoReturn

from c2f_spec.errors import Exit

vars(argparse)["_"] = str
"""argparse would look for translations of its words sixty times, in files; ours are English, and so are its own."""


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
        # What begins like a negative number is a value, a range such as -3:3 too; argparse knows whole numbers only.
        self._negative_number_matcher = re.compile(r"-[\d.]")

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(Exit.USAGE)


class Common(NamedTuple):
    """Parents of parsers."""

    place: Parser
    """`--on`, `--environments`."""
    settings: Parser
    """`--set`."""
    specs: Parser
    """Several specs, with `--set`."""
    one: Parser
    """One spec, with `--set`."""


def common() -> Common:
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
    return Common(place, settings, specs, one)


def output(parser: argparse.ArgumentParser, *forms: str) -> None:
    """`-o`, whose first form is the default."""
    parser.add_argument("-o", "--output", choices=forms, default=forms[0], help="form of the answer")
