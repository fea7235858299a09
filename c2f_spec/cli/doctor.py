"""`doctor ENV`: check what would keep stages from running in an environment, each with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import open_checkout
from c2f_spec.diagnostics.diagnostic import HealthCheck, error
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import C2fError, Exit, sanitize
from c2f_spec.store.probe import probe
from c2f_spec.targets.base import backend_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from c2f_spec.cli.workspace import Checkout


def doctor(args: Namespace) -> int:
    """Exit 4 if a check has an error."""
    results = []
    for result in _check(open_checkout(args, args.environment)):
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


def _check(checkout: Checkout) -> Iterator[HealthCheck]:
    yield from backend_of(checkout.environment.kind).examine(checkout.environment)
    try:
        store = checkout.store
    except C2fError as problem:
        yield error(f"store {checkout.store_url}", problem.message, problem.hint)
        return
    yield from probe(store)
