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
    output(plan, "table", "json", "name")
