"""`verify SPEC`: does every stored result of a spec come from what was planned? Exit 4 names what does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli import output
from c2f_spec.cli.workspace import compile_work
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, Unreachable
from c2f_spec.plan.compile import lock_of, store_url
from c2f_spec.plan.verify import Check, Evidence
from c2f_spec.plan.verify import verify as links
from c2f_spec.store.open import open_store
from c2f_spec.targets.base import backend_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from c2f_spec.plan.model import Stage


SIGNS = {"equal": "=", "moved": "~", "different": "!", "unknown": "?"}


def verify(args: Namespace) -> int:
    compiled = compile_work(args)
    plan, environment = compiled.plan, compiled.environment
    objects = open_store(store_url(environment, compiled.root))
    accepted = {a.new: a.old for item in compiled.loaded for a in lock_of(item).accept}
    backend = backend_of(environment.kind)
    try:
        known = backend.evidence(environment, plan)
    except Unreachable as problem:  # the store alone proves the rest
        output.note(f"manifests and images are not checked: {problem.message}")
        known = {}
    checked = [
        (
            stage,
            links(
                stage,
                objects,
                backend.stage_file(plan, stage, objects),
                accepted,
                known.get(stage.key, Evidence()),
            ),
        )
        for stage in plan.stages
    ]
    found = [(stage, checks) for stage, checks in checked if checks]
    states = [check.state for _, checks in found for check in checks]
    if args.output == "json":
        print(json_text(_json(found, len(plan.stages))))
    else:
        output.table(("LINK", "STAGE", "WHAT", "DETAIL"), [row for item in found for row in _rows(*item)])
        print(f"{plan.name}: {len(found)} of {len(plan.stages)} stages are done; {_verdict(states)}")
    return Exit.DIFFERENCE if "different" in states else Exit.OK


def _rows(stage: Stage, checks: list[Check]) -> list[tuple[str, str, str, str]]:
    """One row for all links that hold, one for each that does not."""
    equal = [c for c in checks if c.state == "equal"]
    others = [
        (f"{SIGNS[c.state]} {c.state}", stage.name, c.link, c.detail) for c in checks if c.state != "equal"
    ]
    if not equal:
        return others
    detail = next((c.detail for c in equal if c.link == "outputs"), "")
    return [("= equal", stage.name, ", ".join(c.link for c in equal), detail), *others]


def _verdict(states: Sequence[str]) -> str:
    wrong, moved, unknown = (states.count(state) for state in ("different", "moved", "unknown"))
    parts = [
        f"{wrong} link{'' if wrong == 1 else 's'} do{'es' if wrong == 1 else ''} not hold"
        if wrong
        else "all links hold"
    ]
    parts += [f"{moved} moved"] if moved else []
    parts += [f"{unknown} not known"] if unknown else []
    return ", ".join(parts)


def _json(found: list[tuple[Stage, list[Check]]], stages: int) -> dict[str, Any]:
    rows = [
        {"stage": s.name, "key": s.key, "link": c.link, "state": c.state, "detail": c.detail}
        for s, checks in found
        for c in checks
    ]
    return {"format_version": 1, "stages": stages, "done": len(found), "links": rows}
