"""`validate`: report every problem of every spec. It starts fast and reads only specs and environments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import print_findings
from c2f_spec.diagnostics.render import findings
from c2f_spec.errors import Exit, InvalidSpec, sanitize
from c2f_spec.plan.compile import load_environment, load_variants, notes_of, refuse_demo_only, warnings_of

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.diagnostics.render import Finding


def validate(args: Namespace) -> int:
    """Exit 3 if a spec is invalid. What this version cannot run is a note: another version may run it."""
    variants: dict[str, int] = {}
    """Number of variants of each valid spec."""
    reported: list[Finding] = []
    for name in args.specs:
        try:
            reported += _check(name, args, variants)
        except InvalidSpec as error:
            reported += findings(error)
    if args.output == "text":
        print_findings(reported)
        for name, count in variants.items():
            print(sanitize(f"{name}: valid{f', {count} variants' if count > 1 else ''}"))
    else:
        from c2f_spec.diagnostics.render import FORMATS

        if answer := FORMATS[args.output](reported):
            print(answer)
        sys.stdout.flush()
    return Exit.OK if len(variants) == len(set(args.specs)) else Exit.SPEC_INVALID


def _check(name: str, args: Namespace, variants: dict[str, int]) -> list[Finding]:
    """Return warnings and notes. Raise `InvalidSpec`."""
    loaded = load_variants(Path(name), args.settings)
    try:
        for environment in sorted({args.on or item.experiment.environment for item in loaded}):
            placed = [i for i in loaded if environment in (args.on, i.experiment.environment)]
            site = load_environment(environment, loaded[0].root, args.environments)
            refuse_demo_only(placed, site, environment)
    except InvalidSpec as error:
        error.file = error.file or name
        raise
    variants[name] = len(loaded)
    return [*warnings_of(loaded), *notes_of(loaded)]
