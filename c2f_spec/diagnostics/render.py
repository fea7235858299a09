"""Render diagnostics as text, `json`, annotations of GitHub, or SARIF 2.1.0.

The formats for machines are complete documents, also without diagnostics.

Columns are 1-based and count code points; `end_column` is the first one after the place.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

import c2f_spec
from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.errors import InvalidSpec, sanitize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.errors import C2fError

    Finding = Diagnostic | C2fError
    """A diagnostic has a place, another error has none: a missing file has no line."""

BOLD_RED, BOLD_YELLOW, BOLD, DIM, PLAIN = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
HUES = {"error": BOLD_RED, "warning": BOLD_YELLOW, "note": BOLD}


def supports_colour(stream: TextIO) -> bool:
    """Return whether `stream` shows colours: `NO_COLOR`, `FORCE_COLOR`, else whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def findings(error: C2fError) -> list[Finding]:
    """Return the diagnostics of an error, or the error itself."""
    return [*error.diagnostics] if isinstance(error, SpecErrors) else [error]


def severity(finding: Finding) -> str:
    return finding.severity if isinstance(finding, Diagnostic) else "error"


def render_text(finding: Finding, *, colour: bool = False) -> str:
    """Return a finding as text: a note is one line, others have source line and hint below."""
    lines = [sanitize(line) for line in str(finding).splitlines()]
    if severity(finding) == "note":
        lines = lines[:1]
    return "\n".join(_coloured(lines, finding)) if colour else "\n".join(lines)


def _coloured(lines: list[str], finding: Finding) -> list[str]:
    """Colour the first line and the caret by severity, and dim the explanations."""
    hue = HUES[severity(finding)]
    caret = 2 if isinstance(finding, Diagnostic) else 0
    return [
        f"{hue}{line}{PLAIN}"
        if i in (0, caret)
        else f"{DIM}{line}{PLAIN}"
        if line.startswith("  ") and i != 1
        else line
        for i, line in enumerate(lines)
    ]


def summarise(found: Sequence[Finding]) -> str:
    """Return `3 errors, 1 warning in 2 files`, or `""` without errors and warnings; notes are not counted."""
    parts = []
    for word in ("error", "warning"):
        number = sum(severity(f) == word for f in found)
        if number:
            parts.append(f"{number} {word}{'s' if number > 1 else ''}")
    files = {file_of(f) for f in found if severity(f) != "note"} - {""}
    where = f" in {len(files)} file{'s' if len(files) > 1 else ''}" if files else ""
    return ", ".join(parts) + where if parts else ""


def file_of(finding: Finding) -> str:
    """Return the file of a finding, relative to the current folder if it is below it; `""` if unknown."""
    if isinstance(finding, Diagnostic):
        path = finding.place.text.path
    else:
        path = finding.file if isinstance(finding, InvalidSpec) else ""
    return os.path.relpath(path) if path.startswith(f"{Path.cwd()}{os.sep}") else path


def code_of(finding: Finding) -> str:
    """Return the diagnostic code for `c2f-spec explain`, or `""`."""
    return finding.code if isinstance(finding, (Diagnostic, InvalidSpec)) else ""


SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
"""Severity to workflow command of GitHub."""


def as_json(found: Sequence[Finding]) -> str:
    return json_text({"format_version": 1, "diagnostics": [_plain(f) for f in found]})


def _plain(finding: Finding) -> dict[str, Any]:
    """Return all keys for every finding; one without a place has null for those that it lacks."""
    place, notes = (finding.place, finding.notes) if isinstance(finding, Diagnostic) else (None, ())
    return {
        "code": code_of(finding) or None,
        "severity": severity(finding),
        "file": file_of(finding) or None,
        "line": place and place.line,
        "column": place and place.column,
        "end_column": place and place.column + place.width,
        "message": sanitize(finding.message),
        "hint": sanitize(finding.hint) or None,
        "notes": [sanitize(n) for n in notes],
    }


def as_github(found: Sequence[Finding]) -> str:
    """Return one workflow command per finding; GitHub shows it at the line of the pull request."""
    return "\n".join(_annotation(_plain(f)) for f in found)


def _annotation(item: dict[str, Any]) -> str:
    values = {
        "file": item["file"],
        "line": item["line"],
        "col": item["column"],
        "endColumn": item["end_column"],
        "title": f"c2f-spec {item['code'] or ''}".strip(),
    }
    properties = ",".join(f"{k}={_property(sanitize(str(v)))}" for k, v in values.items() if v is not None)
    hint = [f"hint: {item['hint']}"] if item["hint"] else []
    message = "\n".join([item["message"], *item["notes"], *hint])
    return f"::{COMMANDS[item['severity']]} {properties}::{_data(message)}"


def _data(value: str) -> str:
    """Escape as `@actions/core` does: otherwise a message could end its command and start another."""
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def as_sarif(found: Sequence[Finding]) -> str:
    from c2f_spec.diagnostics.codes import code_entries

    rules = sorted({code_of(f) for f in found} & set(code_entries()))
    driver = {"name": "c2f-spec", "version": c2f_spec.VERSION, "rules": [_rule(code) for code in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(_plain(f), rules) for f in found],
    }
    return json_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str) -> dict[str, Any]:
    from c2f_spec.diagnostics.codes import code_entries

    entry = code_entries()[code]
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.text},
        "help": {"text": f"{entry.text}\n\nc2f-spec explain {code}"},
    }


def _result(item: dict[str, Any], rules: list[str]) -> dict[str, Any]:
    hint = [f"hint: {item['hint']}"] if item["hint"] else []
    result: dict[str, Any] = {
        "level": item["severity"],
        "message": {"text": "\n".join([item["message"], *item["notes"], *hint])},
    }
    if item["code"] in rules:
        result |= {"ruleId": item["code"], "ruleIndex": rules.index(item["code"])}
    if item["file"]:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(item["file"])}}
        if item["line"]:
            names = {"startLine": "line", "startColumn": "column", "endColumn": "end_column"}
            place["region"] = {name: item[key] for name, key in names.items()}
        result["locations"] = [{"physicalLocation": place}]
    return result


FORMATS = {"json": as_json, "github": as_github, "sarif": as_sarif}


def json_text(value: Any) -> str:
    """Return indented JSON for a terminal or the log of a CI job, with control characters and `##` escaped."""
    text = json.dumps(value, indent=1, ensure_ascii=False).replace("##", "\\u0023\\u0023")
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """Return the JSON escape of a character: beyond the first plane, a pair of surrogates."""
    return json.dumps(character)[1:-1]
