"""`doctor ENV`: check what would keep stages from running in an environment, each with its remedy."""

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
    from collections.abc import Iterator

    from c2f_spec.spec.environment import Environment


def doctor(args: Namespace) -> int:
    """Exit 4 if a check has an error."""
    root = repository(Path.cwd() / "specs")
    folder = Path(args.environments) if args.environments else None
    environment = load_environment(args.environment, root, folder)
    results = []
    for result in _check(environment, store_url(environment, root)):
        results.append(result)
        if args.output == "table":  # each line as it comes: a registry that hangs delays no other result
            print(sanitize(f"{result.level:<8} {result.subject}: {result.detail}"), flush=True)
            if result.remedy:
                print(sanitize(f"{'':<8}   fix: {result.remedy}"), flush=True)
    levels = [result.level for result in results]
    if args.output == "json":
        print(json_text({"format_version": 1, "findings": [result._asdict() for result in results]}))
    else:
        count = levels.count
        print(f"{count('error')} errors, {count('warning')} warnings, {count('ok')} ok")
    return Exit.DIFFERENCE if "error" in levels else Exit.OK


def _check(environment: Environment, store: str) -> Iterator[HealthCheck]:
    yield from backend_of(environment.kind).examine(environment)
    try:
        opened = open_store(store)
    except C2fError as problem:
        yield error(f"store {store}", problem.message, problem.hint)
        return
    yield from probe(opened)
