"""Verbs for who reviews a change: what it would run and cost. They start nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.arguments.common import output

if TYPE_CHECKING:
    from c2f_spec.cli.arguments.common import Common


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
