"""Verbs for who reviews a change: what it would run and cost. They start nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.arguments.common import output

if TYPE_CHECKING:
    from c2f_spec.cli.arguments.common import Common


WHAT = "two spec files; or MAIN..HEAD, two revisions (or one, against the files here), then files or folders (specs/)"


def add(verbs: Any, common: Common) -> None:
    """`verbs` is what `add_subparsers` made."""
    plan = verbs.add_parser(
        "plan", parents=[common.specs, common.place], help="show what would run, what is reused, and why"
    )
    plan.add_argument("--offline", action="store_true", help="read no records: every action is `unknown`")
    plan.add_argument("--out", metavar="FILE", help="write the plan for a later `apply FILE`")
    plan.add_argument(
        "--detailed-exitcode", action="store_true", help="exit 2 if something is left to run, 0 if nothing is"
    )
    output(plan, "table", "json", "name", "markdown", "mermaid")
    diff = verbs.add_parser(
        "diff",
        parents=[common.place],
        help="what a change of specs means: fields, stages to run again, hours",
    )
    equivalent = verbs.add_parser(
        "equivalent", parents=[common.place], help="exit 0 if a change of specs changes no stage, else 4"
    )
    for verb in (diff, equivalent):
        verb.add_argument("what", nargs="+", metavar="WHAT", help=WHAT)
    diff.add_argument("--detailed-exitcode", action="store_true", help="exit 2 if stages would run again")
    output(diff, "table", "json", "markdown")
    render = verbs.add_parser(
        "render",
        parents=[common.specs, common.place],
        help="the objects of Kubernetes that a plan would make; needs no cluster",
    )
    render.add_argument(
        "--out-dir", metavar="DIR", help="write a file for each stage, the plan and the driver"
    )
    render.add_argument(
        "--gitops",
        action="store_true",
        help="only what a folder under Argo CD or Flux may hold: the plan, its code and its driver",
    )
    render.add_argument(
        "--check", action="store_true", help="with --out-dir: write nothing, exit 4 if a file differs"
    )
    render.add_argument(
        "--offline", action="store_true", help="also with names that are not pinned in the lock"
    )
    why = verbs.add_parser(
        "why", parents=[common.one, common.place], help="which leaf of its key makes a stage run again"
    )
    why.add_argument("stage", metavar="STAGE", help="its name, kind or a start of them")
    why.add_argument("--against", metavar="STAGE", help="a stored stage of its kind, instead of the nearest")
    output(why, "table", "json")
    verify = verbs.add_parser(
        "verify",
        parents=[common.one, common.place],
        help="exit 4 if a stored result is not of what was planned",
    )
    output(verify, "table", "json")
