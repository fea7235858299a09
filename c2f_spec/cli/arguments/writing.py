"""Verbs for who writes a spec: they need nothing but its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.cli.arguments.common import Common


def add(verbs: Any, common: Common) -> None:
    """`verbs` is what `add_subparsers` made."""
    validate = verbs.add_parser(
        "validate", parents=[common.specs, common.place], help="check specs; runs and reads nothing else"
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
    init = verbs.add_parser("init", help="write a small spec to start from, or an environment")
    init.add_argument(
        "path",
        nargs="*",
        metavar="PATH",
        help="a new spec; after the word `environment`, a new environment, made from the live cluster",
    )
    init.add_argument("--namespace", metavar="NAME", help="of an environment; absent: the kubeconfig's")
    expand = verbs.add_parser(
        "expand", parents=[common.one], help="list the variants of a spec, or print or write them"
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
    verbs.add_parser("schema", help="print the JSON Schema of specs, for editors")
    completion = verbs.add_parser("completion", help="print a completion script for a shell")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="where to source it")
    verbs.add_parser("version", help="print the version")
