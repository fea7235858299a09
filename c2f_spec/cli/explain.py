"""`explain`: explain a diagnostic code, or a field of specs by its path; `schema`: print the JSON Schema."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.codes import code_entries
from c2f_spec.errors import Exit, UsageError

if TYPE_CHECKING:
    from argparse import Namespace


def schema(_args: Namespace) -> int:
    from c2f_spec.language.json_schema import schema_text

    print(schema_text(), end="")
    return Exit.OK


def explain(args: Namespace) -> int:
    if re.fullmatch(r"C2F\d{3}", args.what, re.IGNORECASE):
        print(_explain_code(args.what.upper()))
    else:
        from c2f_spec.language.field_help import explain_field

        print(explain_field(args.what))
    return Exit.OK


def _explain_code(code: str) -> str:
    entries = code_entries()
    if code not in entries:
        import difflib

        near = difflib.get_close_matches(code, entries, n=3, cutoff=0)
        raise UsageError(f"unknown code {code}", hint=f"did you mean one of {', '.join(sorted(near))}?")
    entry = entries[code]
    parts = [f"{code}: {entry.title}", textwrap.fill(entry.text, 88)]
    for word, example in (("wrong", entry.wrong), ("right", entry.right)):
        if example:
            lines = [line if len(line) <= 88 else f"{line[:85]}..." for line in example.splitlines()]
            more = ["  ..."] if len(lines) > 8 else []
            parts.append("\n".join([f"{word}:", *(f"  {line}" for line in lines[:8]), *more]))
    return "\n\n".join(parts)
