"""`plan`: show what would run, what is reused, and why. It starts nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import plan_output
from c2f_spec.cli.output import note
from c2f_spec.cli.workspace import annotate_plan, broken_rules, check_policy, compile_work, warn_unstaged
from c2f_spec.errors import Exit, UsageError
from c2f_spec.plan.plan_file import to_json

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan


def plan(args: Namespace) -> int:
    """Exit 6 if a rule of the policy is broken, else 2 with `--detailed-exitcode` if something is left to run."""
    work = compile_work(args, warn=True)
    if not args.offline:
        work = replace(work, plan=annotate_plan(work))
        warn_unstaged(work, work.plan)
    decisions = check_policy(work.plan, work.root, None if args.offline else work.store)
    if args.out:
        _write(work.plan, Path(args.out))
    if args.output == "table":
        plan_output.print_plan(work.plan, decisions)
    elif args.output == "json":
        print(plan_output.as_json(work.plan, decisions))
    elif args.output == "name":
        print("\n".join(s.name for s in work.plan.stages))
    elif args.output == "mermaid":
        print(plan_output.as_mermaid(work.plan))
    else:
        print(plan_output.as_markdown(work.plan, decisions), end="")
    if broken_rules(decisions):
        return Exit.DENIED
    pending = any(s.action != "reuse" for s in work.plan.stages)
    return Exit.CHANGES if args.detailed_exitcode and pending else Exit.OK


def _write(plan: Plan, path: Path) -> None:
    """Write the plan for `apply`. Raise `UsageError` if it cannot be written."""
    try:
        path.write_text(json.dumps(to_json(plan), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", hint="name a file in an existing folder"
        ) from None
    note(f"wrote {path}: `c2f-spec apply {path}` runs it, and nothing else")
