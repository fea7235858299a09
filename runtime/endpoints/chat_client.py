"""A client for the chat completions of one endpoint, used from many threads.

Broken connections, stalls, 5xx, and replies that are truncated or malformed are retried at most `ATTEMPTS` times; 429 and
503 for up to `patience` seconds, and then all threads wait as the endpoint demands (`Retry-After`). A request that keeps
failing while the endpoint answers others raises `RequestFailed`; an endpoint that answers nothing ends the attempt at the
stage (`Unreachable`), which is then retried. So a clip that no request gets through cannot stop a stage, and an outage is
not taken for a thousand such clips.

Bodies are joined from parts that are JSON already: a clip of a megabyte is encoded once and only copied here.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from c2f_spec.errors import InvalidStageSpec, Unreachable
from c2f_spec.masking import mask_secrets
from runtime.endpoints.budget import Budget
from runtime.endpoints.replies import Reply, RequestFailed, RetryableError, parse_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.spec.handoff import Endpoint


def read_api_key(endpoint: Endpoint) -> str | None:
    """Return the API key; `None` for an endpoint without one. Raises `InvalidStageSpec` naming the variable to set."""
    name = endpoint.variable
    if name is None:
        return None
    key = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE")
    if not key and path:
        try:
            key = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidStageSpec(f"cannot read {path}, which {name}_FILE names") from error
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise InvalidStageSpec(
            f"missing API key of {endpoint.url}: the variable {name} is empty or not a line of ASCII",
            hint=f"set {name}, or {name}_FILE to the path of a file with it",
        )
    return key


class RateLimit:
    """When the next request may be sent: a number a minute, none while the endpoint demands a pause. Shared by threads."""

    def __init__(self, per_minute: float | None) -> None:
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next request may be sent."""
        while True:
            with self._lock:
                now = time.monotonic()
                if self._next <= now:
                    self._next = now + self._interval
                    return
                left = self._next - now
            time.sleep(left)

    def pause(self, seconds: float) -> None:
        """Send nothing for `seconds`, from any thread: a pause that one request got holds for all."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


ATTEMPTS = 4
"""Times that a failing request is sent."""
PATIENCE = 300.0
"""Seconds for which a request waits for an endpoint that is busy or unreachable."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
CONNECT_SECONDS = 10.0
MAX_REPLY_BYTES = 16 << 20
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    parts: tuple[bytes, ...]
    """The JSON of each part."""


def text_part(words: str) -> bytes:
    """Return the JSON of a text part."""
    return json.dumps({"type": "text", "text": words}, ensure_ascii=False).encode()


def text_message(role: str, words: str) -> Message:
    """Return a turn that is text alone."""
    return Message(role, (text_part(words),))


class ChatClient:
    """A client that `endpoint.client.concurrency` threads may use at once, each with its own connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        shards: int = 1,
        spent: float = 0.0,
        patience: float = PATIENCE,
    ) -> None:
        """Make a client. `shards` pods share the limits; `spent` is the cost of earlier attempts of this pod."""
        assert endpoint.url is not None, "an endpoint without a URL is served by the stage first"
        settings = endpoint.client
        self.url, self.model = endpoint.url.rstrip("/"), model
        self.timeout, self.patience = settings.timeout, patience
        self.budget = Budget(settings, shards, spent)
        self._rate_limit = RateLimit(
            settings.requests_per_minute / shards if settings.requests_per_minute else None
        )
        self._key = read_api_key(endpoint)
        self._pool = _pool(self.url, settings.concurrency)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"
        self._answered = float("-inf")
        self._closed = False

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> Reply:
        """Return the reply to `messages`. Raises `RequestFailed`, `Unreachable`, or `InvalidStageSpec` for key, URL, model or budget."""
        settings = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        body = _body(self.model, messages, {k: v for k, v in settings.items() if v is not None})
        with self.budget.reserve(max_tokens):
            reply = self._send_with_retries(body)
            self.budget.charge(reply)
        return reply

    def close(self) -> None:
        """End requests that wait for a retry: their answers are not needed any more."""
        self._closed = True

    def _send_with_retries(self, body: bytes) -> Reply:
        began, failures, waits = time.monotonic(), 0, 0
        while True:
            self._rate_limit.wait()
            try:
                reply = self._send(body)
            except RetryableError as failure:
                if failure.endpoint_is_busy:
                    waits += 1
                    pause = _backoff(waits) if failure.wait is None else max(failure.wait, _backoff(1))
                    if self._closed or time.monotonic() + pause > began + self.patience:
                        raise self._unreachable(failure) from failure
                    self._rate_limit.pause(pause)
                    continue
                failures += 1
                if failures >= ATTEMPTS:
                    if self._answered > began or self._alive():
                        raise RequestFailed(failure.reason, self._masked(failure.message)) from failure
                    raise self._unreachable(failure) from failure
                time.sleep(_backoff(failures))
                if self._closed:
                    raise self._unreachable(failure) from failure
            else:
                self._answered = time.monotonic()
                return reply

    def _send(self, body: bytes) -> Reply:
        """Send one request and return its reply, which must be complete within `timeout` seconds."""
        began = time.monotonic()
        try:
            answer = self._pool.request(
                "POST",
                f"{self.url}/chat/completions",
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, self.timeout), read=self.timeout),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            data = _read_body(answer, began + self.timeout)
        except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
            raise RetryableError(
                "timeout", f"timed out: no complete reply within {self.timeout:g} s"
            ) from error
        except urllib3.exceptions.ProtocolError as error:
            cut = isinstance(error.args[-1], urllib3.exceptions.IncompleteRead | IncompleteRead)
            raise RetryableError(
                "truncated" if cut else "broken", f"the connection broke: {error}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError("connection", f"{type(error).__name__}: {error}") from error
        seconds = time.monotonic() - began
        return parse_reply(answer.status, answer.headers, data, seconds, self.url, self._masked)

    def _alive(self) -> bool:
        """Return whether the endpoint answers a request at all; the content does not matter."""
        try:
            answer = self._pool.request(
                "GET", f"{self.url}/models", headers=self._headers, timeout=CONNECT_SECONDS, retries=False
            )
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status < 500

    def _unreachable(self, failure: RetryableError) -> Unreachable:
        return Unreachable(
            f"{self.url} does not answer ({failure.reason}): {self._masked(failure.message)}",
            hint="check the endpoint; the stage is retried, and answers so far are kept",
        )

    def _masked(self, message: str) -> str:
        return mask_secrets(message, (self._key,) if self._key else ())


def _body(model: str, messages: Sequence[Message], settings: dict[str, float]) -> bytes:
    """Return the body of a request; the parts of the messages are only copied."""
    turns = (
        b'{"role":%s,"content":[%s]}' % (json.dumps(message.role).encode(), b",".join(message.parts))
        for message in messages
    )
    head = json.dumps({"model": model, **settings}).encode()
    return b'%s,"messages":[%s]}' % (head[:-1], b",".join(turns))


def _read_body(answer: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Return the body. A server that sends a byte now and then counts as stalled at the deadline too."""
    pieces, size = [], 0
    while piece := answer.read1(CHUNK):
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > deadline:
            answer.close()
            raise TimeoutError
        if size > MAX_REPLY_BYTES:
            answer.close()
            raise RetryableError("malformed", f"a reply of more than {MAX_REPLY_BYTES >> 20} MB")
    answer.release_conn()
    return b"".join(pieces)


def _pool(url: str, connections: int) -> urllib3.PoolManager:
    """Return a pool of connections, over a proxy if the environment names one for this host."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=connections, block=True)
    return urllib3.PoolManager(maxsize=connections, block=True)


def _backoff(tries: int) -> float:
    """Return the seconds to wait before a retry: doubled each time, at random between half and all of that."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (tries - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret
