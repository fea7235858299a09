"""Requests to one API server over a bounded number of connections, repeated while that may help. Under `client.py`.

Repeated are broken connections, 429 and 5xx, with jitter, `Retry-After` honoured, for as long as `patience` says; a
401 once, with a renewed credential. Every request of ours may be repeated: creating what is there is a 409 that its
caller knows, and everything else names the object it changes.
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
"""Seconds between two tries; each is up to three times the one before."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
BUSY = frozenset({429, 500, 502, 503, 504})
CHUNK = 1 << 16

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Stream:
    """Lines of a body as they come. `close` may be called from another thread and ends them."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, what: str) -> None:
        self._answer, self._what, self._closed = answer, what, False

    def __iter__(self) -> Iterator[bytes]:
        """Raises `Unreachable` if the connection breaks; half a line is given only at the body's proper end."""
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
    """Safe to use from several threads."""

    def __init__(self, access: Access, *, connections: int, patience: float) -> None:
        self.connections, self.patience = connections, patience
        self._access = access
        self._lock = threading.Lock()
        self._pool = _pool(access, connections)
        self.requests = 0
        """Sent so far, repeated ones included."""

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
        """An answer below 400. Raises an `ApiError`, or `Unreachable` when patience ends."""
        deadline = time.monotonic() + self.patience
        pause, renewed = FIRST_PAUSE, False
        while True:
            try:
                answer = self._once(method, path, query, body=body, content=content, accept=accept)
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
            pause = random.uniform(FIRST_PAUSE, min(LONGEST_PAUSE, pause * 3))  # noqa: S311  jitter

    def stream(
        self, path: str, query: dict[str, str], *, silence: float | None, accept: str = "application/json"
    ) -> Stream:
        """An answer that is read as it comes; broken off after `silence` seconds without a byte. Not repeated."""
        answer = self._once("GET", path, query, accept=accept, stream=True, read=silence)
        if answer.status == 401 and self._renew():
            answer.close()
            answer = self._once("GET", path, query, accept=accept, stream=True, read=silence)
        if answer.status >= 400:
            raise api_error(f"GET {path}", answer.status, answer.data)
        return Stream(answer, path)

    def _once(
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
        asked = urlencode({k: v for k, v in (query or {}).items() if v})
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
                f"{self._access.server}{path}{'?' if asked else ''}{asked}",
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
                hint="is it up, and does KUBECONFIG name the right one? `c2f-spec doctor ENVIRONMENT` looks closer",
            ) from error

    def _renew(self) -> bool:
        """Ask for a new credential after a 401; a new client certificate needs new connections."""
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
            # Whoever wrote `insecure-skip-tls-verify` need not be told with every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            settings |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
    proxy = access.proxy or (None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme))
    return urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float:
    """Seconds; an API server sends no dates."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 0.0
