"""Problems as machines read them: `json`, annotations of GitHub, SARIF 2.1.0. To stdout, whole, also when all is well.

Columns are 1-based and count code points; `end_column` is the first one after the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import c2f_spec
from c2f_spec.cli.forms.json_text import json_text
from c2f_spec.cli.tell import code_of, file_of, severity
from c2f_spec.codes import ENTRIES
from c2f_spec.errors import Diagnostic, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.cli.tell import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
"""Severity → workflow command of GitHub."""


def as_json(found: Sequence[Finding]) -> str:
    return json_text({"format_version": 1, "diagnostics": [_plain(f) for f in found]})


def _plain(finding: Finding) -> dict[str, Any]:
    """A problem without a place has null for what it lacks, so that every key is always there."""
    place, notes = (finding.place, finding.notes) if isinstance(finding, Diagnostic) else (None, ())
    return {
        "code": code_of(finding) or None,
        "severity": severity(finding),
        "file": file_of(finding) or None,
        "line": place and place.line,
        "column": place and place.column,
        "end_column": place and place.column + place.width,
        "message": printable(finding.message),
        "hint": printable(finding.hint) or None,
        "notes": [printable(n) for n in notes],
    }


def as_github(found: Sequence[Finding]) -> str:
    """One workflow command a problem; GitHub shows it at the line of the pull request."""
    return "\n".join(_annotation(_plain(f)) for f in found)


def _annotation(item: dict[str, Any]) -> str:
    values = {
        "file": item["file"],
        "line": item["line"],
        "col": item["column"],
        "endColumn": item["end_column"],
        "title": f"c2f-spec {item['code'] or ''}".strip(),
    }
    properties = ",".join(f"{k}={_property(printable(str(v)))}" for k, v in values.items() if v is not None)
    hint = [f"hint: {item['hint']}"] if item["hint"] else []
    message = "\n".join([item["message"], *item["notes"], *hint])
    return f"::{COMMANDS[item['severity']]} {properties}::{_data(message)}"


def _data(value: str) -> str:
    """Escapes of `@actions/core`: without them a message could end its command and start another."""
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def as_sarif(found: Sequence[Finding]) -> str:
    rules = sorted({code_of(f) for f in found} & set(ENTRIES))
    driver = {"name": "c2f-spec", "version": c2f_spec.VERSION, "rules": [_rule(code) for code in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(_plain(f), rules) for f in found],
    }
    return json_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str) -> dict[str, Any]:
    entry = ENTRIES[code]
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
