"""`verify SPEC`: does every stored result of a spec come from what was planned? Exit 4 names what does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.forms.json_text import json_text
from c2f_spec.cli.show import table
from c2f_spec.cli.work import open_work
from c2f_spec.errors import Exit
from c2f_spec.plan.compile import lock_of
from c2f_spec.plan.verify import Check
from c2f_spec.plan.verify import verify as links

if TYPE_CHECKING:
    from argparse import Namespace

SIGNS = {"equal": "=", "different": "!", "unknown": "?"}


def verify(args: Namespace) -> int:
    work = open_work(args)
    accepted = {a.new: a.old for item in work.loaded for a in lock_of(item).accept}
    found = [c for stage in work.plan.stages for c in links(stage, work.objects, accepted, None)]
    done = len({c.stage.key for c in found})
    wrong = [c for c in found if c.state == "different"]
    if args.output == "json":
        print(json_text(_json(found, len(work.plan.stages))))
    else:
        table(("LINK", "STAGE", "WHAT", "DETAIL"), [_row(c) for c in found])
        verdict = f"{len(wrong)} links do not hold" if wrong else "all links hold"
        unknown = sum(c.state == "unknown" for c in found)
        also = f", {unknown} are not known" if unknown else ""
        print(f"{work.plan.name}: {done} of {len(work.plan.stages)} stages are done; {verdict}{also}")
    return Exit.DIFFERENCE if wrong else Exit.OK


def _row(check: Check) -> tuple[str, str, str, str]:
    return (f"{SIGNS[check.state]} {check.state}", check.stage.name, check.link, check.detail)


def _json(found: list[Check], stages: int) -> dict[str, Any]:
    links_ = [
        {"stage": c.stage.name, "key": c.stage.key, "link": c.link, "state": c.state, "detail": c.detail}
        for c in found
    ]
    return {"format_version": 1, "stages": stages, "done": len({c.stage.key for c in found}), "links": links_}
