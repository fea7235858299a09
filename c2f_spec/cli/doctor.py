"""`doctor ENV`: what would keep stages from running there, each line with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import HealthCheck, error
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import C2fError, Exit, sanitize
from c2f_spec.plan.compile import load_environment, repository, store_url
from c2f_spec.store.open import open_store
from c2f_spec.store.probe import probe
from c2f_spec.targets.base import backend_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from c2f_spec.spec.environment import Environment


def doctor(args: Namespace) -> int:
    """Exit 4 if anything would fail."""
    root = repository(Path.cwd() / "specs")
    folder = Path(args.environments) if args.environments else None
    environment = load_environment(args.environment, root, folder)
    found = _answers(environment, store_url(environment, root))
    told = list(_told(found)) if args.output == "table" else list(found)
    if args.output == "json":
        print(json_text({"format_version": 1, "findings": [f._asdict() for f in told]}))
    else:
        print(_count(told))
    return Exit.DIFFERENCE if any(f.level == "error" for f in told) else Exit.OK


def _answers(environment: Environment, store: str) -> Iterator[HealthCheck]:
    yield from backend_of(environment.kind).examine(environment)
    try:
        objects = open_store(store)
    except C2fError as problem:
        yield error(f"store {store}", problem.message, problem.hint)
        return
    yield from probe(objects)


def _told(found: Iterable[HealthCheck]) -> Iterator[HealthCheck]:
    """Each line as it comes: a registry that hangs does not hold back what is known."""
    for finding in found:
        print(sanitize(f"{finding.level:<8} {finding.subject}: {finding.detail}"), flush=True)
        if finding.remedy:
            print(sanitize(f"{'':<8}   fix: {finding.remedy}"), flush=True)
        yield finding


def _count(found: list[HealthCheck]) -> str:
    levels = [f.level for f in found]
    return f"{levels.count('error')} errors, {levels.count('warning')} warnings, {levels.count('ok')} ok"
