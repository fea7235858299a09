"""`equivalent`: does a change of specs change no stage? The proof that a refactoring of specs is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.diff import difference
from c2f_spec.cli.forms.diff import as_table, neither
from c2f_spec.diff.compare import equivalent as are_equivalent
from c2f_spec.errors import Exit, printable

if TYPE_CHECKING:
    from argparse import Namespace


def equivalent(args: Namespace) -> int:
    """Exit 4 if some variant has other stages."""
    found = difference(args)
    if not are_equivalent(found):
        as_table(found)
        print("not equivalent")
        return Exit.DIFFERENCE
    variants = sum(s.compared for s in found.specs)
    names = f", {variants} variants with other fields or names" if variants else ""
    print(printable(f"equivalent: {found.old} and {found.new} have the same stages{names}{neither(found)}"))
    return Exit.OK
