"""`usage`: what the ledger of a store says of GPU-hours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from c2f_spec.cli.output import table
from c2f_spec.cli.workspace import here
from c2f_spec.cost.site import prices_of
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, UsageError
from c2f_spec.store import ledger
from c2f_spec.store.ledger import HourTotals, sum_hours

if TYPE_CHECKING:
    from argparse import Namespace


def usage(args: Namespace) -> int:
    """Sums of the whole ledger, or of some months."""
    for month in args.month:
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
            raise UsageError(f"`{month}` is not a month", hint="write it as 2026-11")
    place = here(args)
    entries = ledger.read(place.objects, args.month or None)
    prices = prices_of(place.environment)
    sums = sum_hours(entries, args.by, prices)
    if args.output == "json":
        found = {"format_version": 1, "by": args.by, "sums": {w: s.to_json() for w, s in sums.items()}}
        print(json_text(found))
        return Exit.OK
    if not sums:
        print(
            f"the ledger of {place.environment.store} is empty" + (" in these months" if args.month else "")
        )
        return Exit.OK
    _tell(args.by, sums, priced=bool(prices))
    return Exit.OK


def _tell(by: str, sums: dict[str, HourTotals], *, priced: bool) -> None:
    head = [
        by.upper(),
        "STAGES",
        "ATTEMPTS",
        "HOURS",
        "GPU-HOURS",
        "USED",
        "FAILED",
        "REDONE",
        "WAITING",
        "WASTED",
    ]
    rows = []
    for whose, found in sums.items():
        hours = (found.hours, found.gpu_hours, found.used, found.failed, found.redone, found.waiting)
        share = f"{found.wasted / found.gpu_hours:.0%}" if found.gpu_hours else ""
        row = [whose, f"{found.stages:,}", f"{found.attempts:,}", *(f"{h:,.2f}" for h in hours), share]
        rows.append(tuple([*row, f"{found.price:,.2f}"] if priced else row))
    table(tuple([*head, "PRICE"] if priced else head), rows)
