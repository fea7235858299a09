"""JSON for standard output, which may be a terminal or the log of a CI job: no character of a spec is obeyed by either."""

from __future__ import annotations

import json
from typing import Any


def json_text(value: Any) -> str:
    """Indented, and as readable as it is safe: what a terminal would obey, and `##` of a workflow command, are escapes."""
    text = json.dumps(value, indent=1, ensure_ascii=False).replace("##", "\\u0023\\u0023")
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """As JSON writes it: beyond the first plane, a pair of surrogates."""
    return json.dumps(character)[1:-1]
