"""`verify SPEC`: check that every stored result of a spec comes from what was planned. Exit 4 if a link does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.output import note, print_table
from c2f_spec.cli.workspace import compile_work
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, Unreachable
from c2f_spec.plan.compile import lock_of
from c2f_spec.plan.verify import Check, Evidence
from c2f_spec.plan.verify import verify as check_links

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from c2f_spec.plan.model import Stage


SIGNS = {"equal": "=", "moved": "~", "different": "!", "unknown": "?"}


def verify(args: Namespace) -> int:
    work = compile_work(args)
    plan, store, backend = work.plan, work.store, work.backend
    accepted = {a.new: a.old for item in work.loaded for a in lock_of(item).accept}
    try:
        evidence = backend.evidence(work.environment, plan)
    except Unreachable as problem:  # the store alone proves the rest
        note(f"manifests and images are not checked: {problem.message}")
        evidence = {}
    done = []
    for stage in plan.stages:
        file = backend.stage_file(plan, stage, store)
        if checks := check_links(stage, store, file, accepted, evidence.get(stage.key, Evidence())):
            done.append((stage, checks))
    states = [check.state for _, checks in done for check in checks]
    if args.output == "json":
        print(json_text(_json(done, len(plan.stages))))
    else:
        if rows := [row for item in done for row in _rows(*item)]:
            print_table(("LINK", "STAGE", "WHAT", "DETAIL"), rows)
        print(f"{plan.name}: {len(done)} of {len(plan.stages)} stages are done; {_describe_states(states)}")
    return Exit.DIFFERENCE if "different" in states else Exit.OK


def _rows(stage: Stage, checks: list[Check]) -> list[tuple[str, str, str, str]]:
    """Return a row for all links that hold, and one for each that does not."""
    equal = [c for c in checks if c.state == "equal"]
    others = [
        (f"{SIGNS[c.state]} {c.state}", stage.name, c.link, c.detail) for c in checks if c.state != "equal"
    ]
    if not equal:
        return others
    detail = next((c.detail for c in equal if c.link == "outputs"), "")
    return [("= equal", stage.name, ", ".join(c.link for c in equal), detail), *others]


def _describe_states(states: Sequence[str]) -> str:
    wrong, moved, unknown = (states.count(state) for state in ("different", "moved", "unknown"))
    parts = ["all links hold"] if states else ["nothing to check"]
    if wrong:
        parts = ["1 link does not hold" if wrong == 1 else f"{wrong} links do not hold"]
    parts += [f"{moved} moved"] if moved else []
    parts += [f"{unknown} not known"] if unknown else []
    return ", ".join(parts)


def _json(done: list[tuple[Stage, list[Check]]], stages: int) -> dict[str, Any]:
    rows = [
        {"stage": s.name, "key": s.key, "link": c.link, "state": c.state, "detail": c.detail}
        for s, checks in done
        for c in checks
    ]
    return {"format_version": 1, "stages": stages, "done": len(done), "links": rows}
