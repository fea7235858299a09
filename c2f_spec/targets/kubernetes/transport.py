"""Send requests to one API server over a bounded number of connections, repeated while that may help.

Broken connections, 429 and 5xx are repeated with jitter for `patience` seconds, and `Retry-After` is honoured; a 401 is
repeated once, with a renewed credential. Every request may be repeated: creating an object that exists is a 409 that the
caller handles, and every other request names the object that it changes.
"""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from c2f_spec import VERSION
from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.errors import api_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.targets.kubernetes.kubeconfig import Access

AGENT = f"c2f-spec/{VERSION}"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds between two attempts; each pause is up to three times the one before."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
JITTER = random.SystemRandom()
"""Generator of random pauses, so that the global generator of the process is left alone."""
BUSY = frozenset({429, 500, 502, 503, 504})
CHUNK = 1 << 16

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Stream:
    """Iterate over the lines of a body as they come. Any thread may end them by `close`."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, what: str) -> None:
        self._answer, self._what, self._closed = answer, what, False

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines. Raise `Unreachable` if the connection breaks; half a line is yielded only at the proper end."""
        rest = b""
        try:
            for piece in self._answer.stream(CHUNK):
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._closed:
                raise Unreachable(f"the connection broke while reading {self._what}: {error}") from error
            return
        finally:
            self._answer.close()
        if rest:
            yield rest

    def close(self) -> None:
        self._closed = True
        if isinstance(self._answer, urllib3.HTTPResponse) and not self._answer.closed:
            self._answer.shutdown()


class Transport:
    """The connections to an API server. Safe to use from several threads."""

    def __init__(self, access: Access, *, connections: int, patience: float) -> None:
        self.connections, self.patience = connections, patience
        self._access = access
        self._lock = threading.Lock()
        self._pool = _pool(access, connections)
        self.requests = 0
        """Number of requests sent so far, repeated ones included."""

    def send(
        self,
        method: Method,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: dict[str, Any] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> urllib3.BaseHTTPResponse:
        """Return an answer below 400. Raise an `ApiError`, or `Unreachable` when patience ends."""
        deadline = time.monotonic() + self.patience
        pause, renewed = FIRST_PAUSE, False
        while True:
            try:
                answer = self._send_once(method, path, query, body=body, content=content, accept=accept)
            except Unreachable:
                if time.monotonic() + pause > deadline:
                    raise
            else:
                if answer.status == 401 and not renewed and self._renew():
                    renewed = True
                    continue
                if answer.status < 400:
                    return answer
                pause = max(pause, _retry_after(answer))
                if answer.status not in BUSY or time.monotonic() + pause > deadline:
                    raise api_error(f"{method} {path}", answer.status, answer.data)
            time.sleep(pause)
            pause = JITTER.uniform(FIRST_PAUSE, min(LONGEST_PAUSE, pause * 3))

    def stream(
        self, path: str, query: dict[str, str], *, silence: float | None, accept: str = "application/json"
    ) -> Stream:
        """Return an answer that is read as it comes, ended after `silence` seconds without a byte. Not repeated."""
        answer = self._send_once("GET", path, query, accept=accept, stream=True, read=silence)
        if answer.status == 401 and self._renew():
            answer.close()
            answer = self._send_once("GET", path, query, accept=accept, stream=True, read=silence)
        if answer.status >= 400:
            raise api_error(f"GET {path}", answer.status, answer.data)
        return Stream(answer, path)

    def _send_once(
        self,
        method: Method,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: dict[str, Any] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
        stream: bool = False,
        read: float | None = READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        encoded = urlencode({k: v for k, v in (query or {}).items() if v})
        headers = {"Accept": accept, "User-Agent": AGENT}
        if body is not None:
            headers["Content-Type"] = content
        with self._lock:
            self.requests += 1
            pool, token = self._pool, self._access.credential.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            return pool.request(
                method,
                f"{self._access.server}{path}{'?' if encoded else ''}{encoded}",
                body=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
                headers=headers,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read),
                preload_content=not stream,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(
                f"cannot reach the cluster at {self._access.server}: {error}",
                hint="check that it is up and that KUBECONFIG names the right one; `c2f-spec doctor ENVIRONMENT` checks more",
            ) from error

    def _renew(self) -> bool:
        """Renew the credential after a 401; a new client certificate needs new connections."""
        with self._lock:
            if not self._access.credential.renew():
                return False
            if self._access.credential.certificate() is not None:
                self._pool = _pool(self._access, self.connections)
            return True


def _pool(access: Access, connections: int) -> urllib3.PoolManager:
    url = urlsplit(access.server)
    settings: dict[str, Any] = {"maxsize": connections}
    if url.scheme == "https":
        settings["ssl_context"] = access.tls()
        if access.server_name:
            settings |= {"server_hostname": access.server_name, "assert_hostname": access.server_name}
        if not access.verify:
            # `insecure-skip-tls-verify` was a decision: no warning with every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            settings |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
    proxy = access.proxy or (None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme))
    return urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float:
    """Return the seconds of `Retry-After`; an API server sends no dates."""
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdigit() else 0.0
