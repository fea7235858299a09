"""Errors of an API server, a class for each kind of refusal.

Exceptions of the HTTP library do not leave `transport.py`; these do. The body of a refusal is a `Status` object
(https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/).
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from c2f_spec.errors import Exit, Unreachable

MAX_BODY = 600
"""Characters shown of a body that is no `Status`, such as a proxy's page of HTML."""


class Cause(NamedTuple):
    """One reason of a refusal."""

    field: str
    """Path in the manifest, `spec.template.spec.containers[0].image`; empty if no field is named."""
    message: str


class ApiError(Unreachable):
    """The API server refused a request. `detail` is its message alone."""

    def __init__(
        self, what: str, status: int, reason: str, message: str, causes: tuple[Cause, ...] = ()
    ) -> None:
        super().__init__(f"{what}: {message} ({status} {reason})".replace(" )", ")"))
        self.status, self.reason, self.detail, self.causes = status, reason, message, causes


class Forbidden(ApiError):
    """401 or 403: permission denied to this identity. `doctor` lists the missing rights."""


class NotFound(ApiError):
    """404: the object, its namespace or its kind does not exist."""


class Conflict(ApiError):
    """409: the object exists already, or was changed since it was read."""


class Gone(ApiError):
    """410: the version to go on from has expired. List again."""


class Rejected(ApiError):
    """400 or 422: the object is invalid; `causes` name its fields."""

    exit = Exit.SPEC_INVALID


class Warned(ApiError):
    """The server accepted a write with a `Warning` header, which counts as an error.

    A Job that breaks the namespace's Pod Security level is created with nothing but this header, and its pods are
    refused for ever. The object was written: `body` is it.
    """

    exit = Exit.SPEC_INVALID

    def __init__(self, what: str, warnings: tuple[str, ...], body: dict[str, Any]) -> None:
        super().__init__(what, 200, "Warning", "; ".join(warnings), tuple(Cause("", w) for w in warnings))
        self.body = body


ERRORS: dict[int, type[ApiError]] = {
    **dict.fromkeys((401, 403), Forbidden),
    **dict.fromkeys((400, 422), Rejected),
    404: NotFound,
    409: Conflict,
    410: Gone,
}


def api_error(what: str, status: int, body: bytes) -> ApiError:
    """Return the error for an answer of 400 or more. `what` names the request."""
    try:
        answer = json.loads(body)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
        listed = (answer.get("details") or {}).get("causes") or ()
        causes = tuple(Cause(str(c.get("field", "")), str(c.get("message", ""))) for c in listed)
    except (ValueError, AttributeError):
        reason, message, causes = "", body[:MAX_BODY].decode(errors="replace"), ()
    causes = causes or tuple(Cause(field, f"unknown field `{field}`") for field in _unknown_fields(message))
    return ERRORS.get(status, ApiError)(what, status, reason, message, causes)


def _unknown_fields(message: str) -> list[str]:
    """Return the fields of `strict decoding error: unknown field "spec.backofLimit", …`, which has no causes."""
    return re.findall(r'(?:unknown|duplicate) field "([^"]+)"', message)


def warnings_of(headers: list[str]) -> tuple[str, ...]:
    """Return the texts of `Warning: 299 - "text"` headers (RFC 9111, 5.5)."""
    found = []
    for header in headers:
        quoted = re.findall(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"', header)
        found += [re.sub(r"\\(.)", r"\1", text) for text in quoted] or [header]
    return tuple(found)
