"""`usage`: sum the GPU-hours in the ledger of a store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from c2f_spec.cli.output import print_table
from c2f_spec.cli.workspace import open_checkout
from c2f_spec.cost.site import prices_of
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, UsageError
from c2f_spec.store import ledger
from c2f_spec.store.ledger import HourTotals, sum_hours

if TYPE_CHECKING:
    from argparse import Namespace


def usage(args: Namespace) -> int:
    """Print the sums of the whole ledger, or of some months."""
    for month in args.month:
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
            raise UsageError(f"`{month}` is not a month", hint="write it as 2026-11")
    checkout = open_checkout(args)
    entries = ledger.read(checkout.store, args.month or None)
    prices = prices_of(checkout.environment)
    sums = sum_hours(entries, args.by, prices)
    if args.output == "json":
        data = {"format_version": 1, "by": args.by, "sums": {w: s.to_json() for w, s in sums.items()}}
        print(json_text(data))
        return Exit.OK
    if not sums:
        print(
            f"the ledger of {checkout.environment.store} is empty"
            + (" in these months" if args.month else "")
        )
        return Exit.OK
    _print_sums(args.by, sums, priced=bool(prices))
    return Exit.OK


def _print_sums(by: str, sums: dict[str, HourTotals], *, priced: bool) -> None:
    head = [
        by.upper(),
        *["STAGES", "ATTEMPTS", "HOURS", "GPU-HOURS", "USED", "FAILED", "REDONE", "WAITING", "WASTED"],
    ]
    rows = []
    for name, total in sums.items():
        hours = (total.hours, total.gpu_hours, total.used, total.failed, total.redone, total.waiting)
        share = f"{total.wasted / total.gpu_hours:.0%}" if total.gpu_hours else ""
        row = [name, f"{total.stages:,}", f"{total.attempts:,}", *(f"{h:,.2f}" for h in hours), share]
        rows.append(tuple([*row, f"{total.price:,.2f}"] if priced else row))
    print_table(tuple([*head, "PRICE"] if priced else head), rows)
