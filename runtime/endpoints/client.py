"""Chat completions of one endpoint, asked from many threads.

Repeated are broken connections, stalls, 5xx, and replies that are cut short or not what they should be, at most
`ATTEMPTS` times; 429 and 503 for as long as `patience` says, and then all threads wait as the endpoint asks
(`Retry-After`). A request that keeps failing while the endpoint answers is given up (`RequestFailed`); an endpoint
that answers nothing ends the attempt at the stage (`Unreachable`), which is then tried again. So a poisonous clip
cannot stop a stage, and an outage cannot pass for a thousand poisonous clips.

Bodies are put together from parts that are JSON already: a clip of a megabyte is encoded once and only copied here.
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

from c2f_spec.errors import StageSpecWrong, Unreachable
from c2f_spec.masking import masked
from runtime.endpoints.budget import Budget
from runtime.endpoints.replies import Reply, RequestFailed, RetryableError, parse_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.spec.handoff import Endpoint


def read_api_key(endpoint: Endpoint) -> str | None:
    """The key; `None` for an endpoint that wants none. Raises `StageSpecWrong` naming the variable that lacks it."""
    name = endpoint.variable
    if name is None:
        return None
    key = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE")
    if not key and path:
        try:
            key = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StageSpecWrong(f"{name}_FILE names {path}, which cannot be read") from error
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise StageSpecWrong(
            f"the key of {endpoint.url} is not there: the variable {name} is empty or no line of ASCII",
            hint=f"set {name}, or {name}_FILE to the path of a file with it",
        )
    return key


# When the next request may be sent: so many a minute, and none while the endpoint asks for a pause.


class RateLimit:
    """Shared by the threads of a client."""

    def __init__(self, per_minute: float | None) -> None:
        self._between = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is this request's turn."""
        while True:
            with self._lock:
                now = time.monotonic()
                if self._next <= now:
                    self._next = now + self._between
                    return
                left = self._next - now
            time.sleep(left)

    def pause(self, seconds: float) -> None:
        """Nobody sends for so long: what one request was told holds for all."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


ATTEMPTS = 4
"""Of a request that the endpoint fails, until it is given up."""
PATIENCE = 300.0
"""Seconds for which a request waits for an endpoint that is busy or away."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
CONNECT_SECONDS = 10.0
MAX_REPLY_BYTES = 16 << 20
"""Of a reply."""
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: str
    parts: tuple[bytes, ...]
    """Each is the JSON of one part."""


def text_part(words: str) -> bytes:
    """A part of words."""
    return json.dumps({"type": "text", "text": words}, ensure_ascii=False).encode()


def text_message(role: str, words: str) -> Message:
    """A turn of words alone."""
    return Message(role, (text_part(words),))


class ChatClient:
    """Safe to use from `endpoint.client.concurrency` threads, each with a connection of its own."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        shards: int = 1,
        spent: float = 0.0,
        patience: float = PATIENCE,
    ) -> None:
        """`shards` pods share the limits; `spent` is what earlier attempts of this one cost."""
        assert endpoint.url is not None, "an endpoint without a URL is served by the stage first"
        how = endpoint.client
        self.url, self.model, self.timeout, self.patience = (
            endpoint.url.rstrip("/"),
            model,
            how.timeout,
            patience,
        )
        self.budget = Budget(how, shards, spent)
        self._pace = RateLimit(how.requests_per_minute / shards if how.requests_per_minute else None)
        self._key = read_api_key(endpoint)
        self._pool = _pool(self.url, how.concurrency)
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
        """The answer. Raises `RequestFailed`, `Unreachable`, or `StageSpecWrong` for key, URL, model or budget."""
        settings = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        body = _body(self.model, messages, {k: v for k, v in settings.items() if v is not None})
        with self.budget.reserve(max_tokens):
            reply = self._send_with_retries(body)
            self.budget.charge(reply)
        return reply

    def close(self) -> None:
        """Requests that wait for another try end: nobody wants their answer any more."""
        self._closed = True

    def _send_with_retries(self, body: bytes) -> Reply:
        began, failures, waits = time.monotonic(), 0, 0
        while True:
            self._pace.wait()
            try:
                reply = self._send(body)
            except RetryableError as again:
                if again.endpoint_is_busy:
                    waits += 1
                    pause = _backoff(waits) if again.wait is None else max(again.wait, _backoff(1))
                    if self._closed or time.monotonic() + pause > began + self.patience:
                        raise self._unreachable(again) from again
                    self._pace.pause(pause)
                    continue
                failures += 1
                if failures >= ATTEMPTS:
                    if self._answered > began or self._alive():
                        raise RequestFailed(again.reason, self._masked(again.message)) from again
                    raise self._unreachable(again) from again
                time.sleep(_backoff(failures))
                if self._closed:
                    raise self._unreachable(again) from again
            else:
                self._answered = time.monotonic()
                return reply

    def _send(self, body: bytes) -> Reply:
        """One request and its answer, which must be whole within `timeout` seconds."""
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
            raise RetryableError("timeout", f"no whole reply within {self.timeout:g} s") from error
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
        """Whether the endpoint answers anything at all; what it says of its models does not matter."""
        try:
            answer = self._pool.request(
                "GET", f"{self.url}/models", headers=self._headers, timeout=CONNECT_SECONDS, retries=False
            )
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status < 500

    def _unreachable(self, again: RetryableError) -> Unreachable:
        return Unreachable(
            f"{self.url} does not answer ({again.reason}): {self._masked(again.message)}",
            hint="what was answered is kept; the stage goes on where it was",
        )

    def _masked(self, message: str) -> str:
        return masked(message, (self._key,) if self._key else ())


def _body(model: str, messages: Sequence[Message], settings: dict[str, float]) -> bytes:
    """A request; the parts of the messages are only copied."""
    turns = (
        b'{"role":%s,"content":[%s]}' % (json.dumps(message.role).encode(), b",".join(message.parts))
        for message in messages
    )
    head = json.dumps({"model": model, **settings}).encode()
    return b'%s,"messages":[%s]}' % (head[:-1], b",".join(turns))


def _read_body(answer: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """The body. A server that sends a byte now and then stalls as well as one that sends none."""
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
    """Over a proxy, if the environment names one for this host."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=connections, block=True)
    return urllib3.PoolManager(maxsize=connections, block=True)


def _backoff(tries: int) -> float:
    """Seconds: doubled each time, between half and all of it."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (tries - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret
