"""`validate`: every problem of every spec. Starts fast and reads nothing but specs and environments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.tell import findings, tell_all
from c2f_spec.errors import Diagnostic, Exit, SpecInvalid, printable
from c2f_spec.plan.compile import load_environment, load_spec, not_implemented, refuse_demo_only

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.cli.tell import Finding


def validate(args: Namespace) -> int:
    """What this version cannot run is a note: the spec is valid, and another version may run it."""
    valid: list[str] = []
    found: list[Finding] = []
    for name in args.specs:
        try:
            found += _check(name, args)
        except SpecInvalid as error:
            found += findings(error)
        else:
            valid.append(name)
    if args.output == "text":
        tell_all(found)
        for name in valid:
            print(printable(f"{name}: valid"))
    else:
        from c2f_spec.cli.formats import FORMATS

        if answer := FORMATS[args.output](found):
            print(answer)
        sys.stdout.flush()
    return Exit.OK if len(valid) == len(args.specs) else Exit.SPEC_INVALID


def _check(name: str, args: Namespace) -> list[Finding]:
    """Warnings and notes. Raises `SpecInvalid`."""
    loaded = load_spec(Path(name))
    environment = args.on or loaded.experiment.environment
    folder = Path(args.environments) if args.environments else None
    try:
        refuse_demo_only(loaded, load_environment(environment, loaded.root, folder), environment)
    except SpecInvalid as error:
        error.file = error.file or name
        raise
    place = loaded.document.place
    missing = [
        Diagnostic(p.code, place(p.loc), f"{p.message}; `apply` refuses it", p.hint, "note")
        for p in not_implemented(loaded.experiment)
    ]
    return [*loaded.warnings, *missing]
