"""What comes back from an endpoint that speaks the OpenAI protocol: a reply, or why there is none.

Shapes: https://platform.openai.com/docs/api-reference/chat/object. vLLM and `transformers serve` answer the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import StageSpecWrong

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUSY_STATUS = frozenset({408, 425, 429, 503, 529})
"""The endpoint is well and wants to be asked later."""
REFUSED_STATUS = frozenset({400, 413, 415, 422})
"""Of this request, for what is in it."""
MAX_MESSAGE_CHARS = 300
"""Characters of an endpoint's own words in a message."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, whole."""

    text: str
    tokens_in: int | None
    """As the endpoint counts them; `None` where it does not."""
    tokens_out: int | None
    seconds: float
    """From sending the request to having the reply, without earlier tries."""
    finish: str
    """`stop`, or `length` where `max_tokens` cut it."""
    reasoning: str = ""
    """What the endpoint parted from the text as the model's own thinking."""


class RequestFailed(Exception):
    """This request will not be answered, however often it is sent; others may be."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        """One word, to count by: `refused`, `error`, `timeout`, `broken`, `truncated`, `malformed`."""
        self.message = message


class RetryableError(Exception):
    """To be sent once more, after `wait` seconds if the endpoint says so."""

    def __init__(self, reason: str, message: str, *, wait: float | None = None) -> None:
        super().__init__(reason, message)
        self.reason, self.message, self.wait = reason, message, wait

    @property
    def endpoint_is_busy(self) -> bool:
        """It is the endpoint's state and not this request that is in the way."""
        return self.reason in ("busy", "connection")


def parse_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    seconds: float,
    url: str,
    mask: Callable[[str], str] = str,
) -> Reply:
    """The reply in an HTTP answer. `mask` takes keys out of the endpoint's words: some repeat what they were sent.

    Raises `Again`, `RequestFailed`, or `StageSpecWrong` for what no request to this endpoint would get past.
    """
    if status == 200:
        data = _json(body)
        if "error" not in data or "choices" in data:
            return _reply(data, seconds)
        status = _status(data["error"])  # as gateways tell of the endpoint behind them
    said = _error_text(body, mask)
    if status in (401, 403):
        raise StageSpecWrong(
            f"{url} does not accept the key ({status}): {said}",
            hint="`secret` of the spec names the environment's secret with it",
        )
    if status == 402 or "insufficient_quota" in said:
        raise StageSpecWrong(
            f"{url} has no credit left ({status}): {said}", hint="pay, then `c2f-spec retry`"
        )
    if status in BUSY_STATUS:
        raise RetryableError("busy", f"{status}: {said}", wait=_retry_after(headers.get("Retry-After")))
    if status in REFUSED_STATUS:
        raise RequestFailed("refused", f"{status}: {said}")
    if status >= 500:
        raise RetryableError("error", f"{status}: {said}")
    raise StageSpecWrong(
        f"{url} answers {status} to a chat completion: {said}",
        hint="the URL ends in `/v1`, and the model's name is the endpoint's",
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
    """What an error inside of an answer of 200 would have been as an answer."""
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
        text = ""  # all of its tokens went into thinking: the same request would be answered the same
    right = isinstance(text, str) and isinstance(finish, str) and isinstance(reasoning, str)
    if not right or not all(t is None or (isinstance(t, int) and t >= 0) for t in tokens):
        raise RetryableError("malformed", "not a chat completion: a field is of another type")
    return Reply(_valid_unicode(text), tokens[0], tokens[1], seconds, finish, _valid_unicode(reasoning))


def _valid_unicode(text: str) -> str:
    """With U+FFFD for halves of characters, which JSON may hold where `max_tokens` cut one, and UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _error_text(body: bytes, mask: Callable[[str], str]) -> str:
    """The endpoint's own words, or the start of whatever came."""
    try:
        data: Any = json.loads(body)
        error = data.get("error", data.get("detail", data))
        said = (
            f"{error.get('message', error)} {error.get('code') or ''}" if isinstance(error, dict) else error
        )
    except (ValueError, AttributeError, RecursionError):
        said = body[: 4 * MAX_MESSAGE_CHARS].decode(errors="replace")
    text = " ".join(mask(str(said)).split())
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}..."


def _retry_after(value: str | None) -> float | None:
    """Seconds from now; RFC 9110 allows a number or a date. `None` for what is neither."""
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
