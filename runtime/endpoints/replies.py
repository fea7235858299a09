"""Parse what an endpoint that speaks the OpenAI protocol answers: a reply, or an error that says whether to retry.

Shapes: https://platform.openai.com/docs/api-reference/chat/object. vLLM and `transformers serve` answer the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUSY_STATUS = frozenset({408, 425, 429, 503, 529})
"""Statuses of an endpoint that works and wants the request later."""
REFUSED_STATUS = frozenset({400, 413, 415, 422})
"""Statuses that refuse this request for its content."""
MAX_MESSAGE_CHARS = 300
"""Characters of an endpoint's error text in a message."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer."""

    text: str
    tokens_in: int | None
    """Tokens of the prompt as the endpoint counts them; `None` if it does not."""
    tokens_out: int | None
    seconds: float
    """Seconds from sending the request to having the reply, without earlier tries."""
    finish: str
    """`stop`, or `length` if `max_tokens` cut it."""
    reasoning: str = ""
    """The model's reasoning, where the endpoint separates it from the text."""


class RequestFailed(Exception):
    """A request that the endpoint will not answer, however often it is sent; others may be answered."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        """A word to count by: `refused`, `error`, `timeout`, `broken`, `truncated`, `malformed`."""
        self.message = message


class RetryableError(Exception):
    """A request that should be sent again, after `wait` seconds if the endpoint demands that."""

    def __init__(self, reason: str, message: str, *, wait: float | None = None) -> None:
        super().__init__(reason, message)
        self.reason, self.message, self.wait = reason, message, wait

    @property
    def endpoint_is_busy(self) -> bool:
        """True if the endpoint is busy or unreachable, rather than this request at fault."""
        return self.reason in ("busy", "connection")


def parse_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    seconds: float,
    url: str,
    mask: Callable[[str], str] = str,
) -> Reply:
    """Return the reply in an HTTP answer. `mask` hides keys in the endpoint's error text, which may repeat the request.

    Raises `RetryableError`, `RequestFailed`, or `InvalidStageSpec` for an error that every request to this endpoint would get.
    """
    if status == 200:
        data = _json(body)
        if "error" not in data or "choices" in data:
            return _reply(data, seconds)
        status = _status(data["error"])  # gateways report an error of the endpoint behind them like this
    text = _error_text(body, mask)
    if status in (401, 403):
        raise InvalidStageSpec(
            f"{url} denies permission with this API key ({status}): {text}",
            hint="set the API key in the environment's secret that `secret` of the spec names",
        )
    if status == 402 or "insufficient_quota" in text:
        raise InvalidStageSpec(
            f"{url} has no credit left ({status}): {text}",
            hint="add credit to the account, then run `c2f-spec retry`",
        )
    if status in BUSY_STATUS:
        raise RetryableError("busy", f"{status}: {text}", wait=_retry_after(headers.get("Retry-After")))
    if status in REFUSED_STATUS:
        raise RequestFailed("refused", f"{status}: {text}")
    if status >= 500:
        raise RetryableError("error", f"{status}: {text}")
    raise InvalidStageSpec(
        f"{url} answers {status} to a chat completion: {text}",
        hint="check that the URL ends in `/v1` and that the endpoint serves the model's name",
    )


def _json(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RetryableError("malformed", f"not a chat completion: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise RetryableError("malformed", "not a chat completion: no object")
    return data


def _status(error: Any) -> int:
    """Return the HTTP status of an error that came inside an answer of 200."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _reply(data: dict[str, Any], seconds: float) -> Reply:
    try:
        choice = data["choices"][0]
        text = choice["message"]["content"]
        finish = choice.get("finish_reason") or "stop"
        reasoning = choice["message"].get("reasoning_content") or choice["message"].get("reasoning") or ""
        usage = data.get("usage") or {}
        tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (LookupError, TypeError, AttributeError) as error:
        raise RetryableError("malformed", f"not a chat completion: {type(error).__name__}") from error
    if finish == "content_filter" or choice["message"].get("refusal"):
        raise RequestFailed("refused", "the endpoint's filter withheld the answer")
    if text is None and (finish == "length" or reasoning):
        text = ""  # all of its tokens went into reasoning: a retry would give the same
    valid = isinstance(text, str) and isinstance(finish, str) and isinstance(reasoning, str)
    if not valid or not all(t is None or (isinstance(t, int) and t >= 0) for t in tokens):
        raise RetryableError("malformed", "not a chat completion: a field is of another type")
    return Reply(_valid_unicode(text), tokens[0], tokens[1], seconds, finish, _valid_unicode(reasoning))


def _valid_unicode(text: str) -> str:
    """Replace half surrogates by U+FFFD: JSON may have them where `max_tokens` cut a character, UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _error_text(body: bytes, mask: Callable[[str], str]) -> str:
    """Return the endpoint's error message, or the start of the body."""
    try:
        data: Any = json.loads(body)
        error = data.get("error", data.get("detail", data))
        message = (
            f"{error.get('message', error)} {error.get('code') or ''}" if isinstance(error, dict) else error
        )
    except (ValueError, AttributeError, RecursionError):
        message = body[: 4 * MAX_MESSAGE_CHARS].decode(errors="replace")
    text = " ".join(mask(str(message)).split())
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}..."


def _retry_after(value: str | None) -> float | None:
    """Return seconds from now; RFC 9110 allows a number or a date. `None` for anything else."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
