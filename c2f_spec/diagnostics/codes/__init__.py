"""What every diagnostic code means: `c2f-spec explain C2F107`, and the rules of SARIF.

A code is a promise: it is never used for another problem, nor used again once it is gone. A new one is an entry in the
file of its hundred, or of its part of the hundred; a test fails for a code that is used and not explained, or explained and not used, and runs the
examples: the wrong one must bring the code, the right one must not.

  1xx document   the text is not a document      4xx place    pins, files, environments
  2xx schema     a value is not what it must be  5xx expand   templates, inheritance, sweeps
  3xx checks     sections do not fit together
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.codes import (
    checks,
    cluster,
    document,
    expand,
    hints,
    media,
    place,
    schema,
    teacher,
    training,
)

if TYPE_CHECKING:
    from c2f_spec.diagnostics.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    **document.ENTRIES,
    **schema.ENTRIES,
    **checks.ENTRIES,
    **hints.ENTRIES,
    **teacher.ENTRIES,
    **training.ENTRIES,
    **media.ENTRIES,
    **place.ENTRIES,
    **cluster.ENTRIES,
    **expand.ENTRIES,
}
