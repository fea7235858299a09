"""`plan`: what would run, what is reused, and why. Starts nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import output
from c2f_spec.cli import plan_output as forms
from c2f_spec.cli.policy_check import broken, judged, lines
from c2f_spec.cli.workspace import annotated, compile_work, open_work, warn_unstaged
from c2f_spec.errors import Exit, UsageError
from c2f_spec.plan.plan_file import to_json

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan
    from c2f_spec.policy.load import Verdict


def plan(args: Namespace) -> int:
    """Exit 6 if a rule of the policy is broken, else 2 with `--detailed-exitcode` if something is left to run."""
    if args.offline:
        _, found, _, root = compile_work(args)
        verdicts = judged(found, root, None)
    else:
        work = open_work(args)
        found = annotated(work)
        warn_unstaged(work, found)
        verdicts = judged(found, work.loaded[0].root, work.objects)
    if args.out:
        save(found, Path(args.out))
    _print(found, args.output, verdicts)
    if broken(verdicts):
        return Exit.DENIED
    pending = any(s.action != "reuse" for s in found.stages)
    return Exit.CHANGES if args.detailed_exitcode and pending else Exit.OK


def save(found: Plan, path: Path) -> None:
    """Write the plan for `apply`. Raises `UsageError` if it cannot be written."""
    try:
        path.write_text(json.dumps(to_json(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", hint="name a file in a folder that is there"
        ) from None
    output.note(f"wrote {path}: `c2f-spec apply {path}` runs it, and nothing else")


def _print(found: Plan, form: str, verdicts: list[Verdict]) -> None:
    if form == "table":
        forms.as_table(found)
        for line in lines(verdicts):
            print(line)
    elif form == "json":
        forms.as_json(found, verdicts)
    elif form == "name":
        print("\n".join(s.name for s in found.stages))
    elif form == "mermaid":
        from c2f_spec.cli.plan_output import as_mermaid

        print(as_mermaid(found))
    else:
        from c2f_spec.cli.plan_output import as_markdown

        print(as_markdown(found, verdicts), end="")
