"""`plan`: what would run, what is reused, and why. Starts nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import show
from c2f_spec.cli.forms import plan as forms
from c2f_spec.cli.work import annotated, compile_work, open_work
from c2f_spec.errors import Exit, WrongUsage
from c2f_spec.plan.saved import to_json

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan


def plan(args: Namespace) -> int:
    """Exit 2 with `--detailed-exitcode` if something is left to run."""
    found = compile_work(args).plan if args.offline else annotated(open_work(args))
    if args.out:
        save(found, Path(args.out))
    _print(found, args.output)
    pending = any(s.action != "reuse" for s in found.stages)
    return Exit.CHANGES if args.detailed_exitcode and pending else Exit.OK


def save(found: Plan, path: Path) -> None:
    """Write the plan for `apply`. Raises `WrongUsage` if it cannot be written."""
    try:
        path.write_text(json.dumps(to_json(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise WrongUsage(
            f"{path}: cannot be written: {error.strerror}", hint="name a file in a folder that is there"
        ) from None
    show.note(f"wrote {path}: `c2f-spec apply {path}` runs it, and nothing else")


def _print(found: Plan, form: str) -> None:
    if form == "table":
        forms.as_table(found)
    elif form == "json":
        forms.as_json(found)
    elif form == "name":
        print("\n".join(s.name for s in found.stages))
    elif form == "mermaid":
        from c2f_spec.cli.forms.mermaid import as_mermaid

        print(as_mermaid(found))
    else:
        from c2f_spec.cli.forms.plan_markdown import as_markdown

        print(as_markdown(found), end="")
