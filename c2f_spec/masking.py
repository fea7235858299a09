"""Mask secrets in text that leaves a process: logs, messages, errors.

Secrets are recognised by value, if an environment variable with the name of a secret has it, and by shape. Shapes miss
some secrets, which is why secrets are passed to pods as variables and in no other way.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN = "***"
SHORTEST = 6
"""Characters of the shortest value that is masked: shorter ones occur in other words."""

SECRET_NAMES = re.compile(
    r"(?:SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|WEBHOOK|API_?KEY|ACCESS_KEY|NOTIFY_URL)",
    re.IGNORECASE,
)

SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),  # AWS key ids
    (re.compile(r"\b(?:hf|ghp|gho|ghs|glpat|sk|xox[abpr])[-_][A-Za-z0-9_-]{16,}"), HIDDEN),  # Hugging Face, GitHub, …
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"), HIDDEN),  # JSON web tokens
    (re.compile(r"(?i)\b(authorization|bearer|basic)(\s*[:=]?\s+)(?:(?:bearer|basic)\s+)?[A-Za-z0-9+/=_.~-]{12,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"(?i)([?&](?:x-amz-(?:signature|security-token|credential)|access_token|signature|token|sig|key)=)[^&\s\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)\b([a-z0-9_]*(?:secret|password|passwd|api_?key|access_key(?:_id)?)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;}]{6,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b([a-z0-9_]*token[\"']?\s*[=:]\s*[\"']?)(?!\d+\b)[A-Za-z0-9_.-]{16,}"), rf"\1{HIDDEN}"),  # not `eos_token: <|end|>`
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
)  # fmt: skip


def secret_values(variables: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the values of the environment variables with names of secrets, the longest first."""
    variables = os.environ if variables is None else variables
    found = {v for k, v in variables.items() if SECRET_NAMES.search(k) and len(v) >= SHORTEST}
    return tuple(sorted(found, key=len, reverse=True))


def mask_secrets(text: str, values: Iterable[str] = ()) -> str:
    """Return `text` with `values`, and all that has the shape of a credential, replaced."""
    for value in values:
        text = text.replace(value, HIDDEN)
    for shape, replacement in SHAPES:
        text = shape.sub(replacement, text)
    return text
