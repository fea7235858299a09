"""An HTTP/1.1 proxy before a storage server that does to requests what networks and servers do, at a chosen rate.

Every answer closes its connection, so each request is a connection and a fault hits nobody else.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

STALL = 30.0
"""Seconds of silence before a connection breaks."""


class Fault(Enum):
    ERROR = "500 before the server saw it"
    SLOW_DOWN = "503 SlowDown before the server saw it"
    RESET = "connection reset in the answer"
    STALL = "30 s of silence"
    TRUNCATED = "answer cut short"
    FLIPPED = "a bit of the answer flipped"
    FLIPPED_REQUEST = "a bit of the request's body flipped"
    ERROR_AFTER = "500 after the server did it"
    RESET_AFTER = "connection reset after the server did it"
    TWICE = "the request sent twice"


@dataclass(frozen=True)
class Message:
    """A request or an answer."""

    first: bytes
    """Its first line."""
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def to_bytes(self) -> bytes:
        """With its length, and the wish to close."""
        drop = (b"content-length", b"transfer-encoding", b"connection", b"expect")
        lines = [key + b": " + value for key, value in self.headers if key.lower() not in drop]
        length = self.header(b"content-length") if not self.body else b"%d" % len(self.body)
        lines += [b"Content-Length: " + (length or b"0"), b"Connection: close"]
        return b"\r\n".join((self.first, *lines, b"", b"")) + self.body


@dataclass
class Proxy:
    """Listens on a port of its own on loopback, from `start` on, until this process ends."""

    upstream: int
    """Port of the server."""
    rate: float
    seed: int
    requests: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    port: int = 0

    def start(self) -> Proxy:
        self._random, self._lock = random.Random(self.seed), threading.Lock()
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), _closing(connection):
            request = _read(connection.makefile("rb"), connection)
            if request is not None:
                self._answer(connection, request)

    def _answer(self, connection: socket.socket, request: Message) -> None:
        fault, at = self._chosen()
        if fault is Fault.ERROR:
            connection.sendall(_error(500, "InternalError"))
        elif fault is Fault.SLOW_DOWN:
            connection.sendall(_error(503, "SlowDown"))
        elif fault is Fault.STALL:
            time.sleep(STALL)
            _reset(connection)
        else:
            if fault is Fault.FLIPPED_REQUEST:
                request = _flipped(request, at)
            answer = self._ask(request)
            if fault is Fault.TWICE:
                answer = self._ask(request)
            if fault is Fault.ERROR_AFTER:
                connection.sendall(_error(500, "InternalError"))
            elif fault is Fault.RESET_AFTER:
                _reset(connection)
            elif fault is Fault.FLIPPED:
                connection.sendall(_flipped(answer, at).to_bytes())
            elif fault in (Fault.TRUNCATED, Fault.RESET):
                data = answer.to_bytes()
                connection.sendall(data[: int(len(data) * at)])
                if fault is Fault.RESET:
                    _reset(connection)
            else:
                connection.sendall(answer.to_bytes())

    def _chosen(self) -> tuple[Fault | None, float]:
        """A fault or none, and a place in the message from 0 to 1."""
        with self._lock:
            self.requests += 1
            if self._random.random() >= self.rate:
                return None, 0.0
            fault = self._random.choice(list(Fault))
            self.faults[fault] += 1
            return fault, self._random.random()

    def _ask(self, request: Message) -> Message:
        with _closing(socket.create_connection(("127.0.0.1", self.upstream))) as server:
            server.sendall(request.to_bytes())
            answer = _read(server.makefile("rb"), None, bodiless=request.first.startswith(b"HEAD"))
        if answer is None:
            raise ValueError("the server said nothing")
        return answer


def _read(file: BinaryIO, sender: socket.socket | None, *, bodiless: bool = False) -> Message | None:
    first = file.readline().rstrip(b"\r\n")
    if not first:
        return None
    headers = []
    while line := file.readline().rstrip(b"\r\n"):
        key, _, value = line.partition(b":")
        headers.append((key, value.strip()))
    head = Message(first, tuple(headers), b"")
    if sender is not None and head.header(b"expect").lower() == b"100-continue":
        sender.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if bodiless or first.split()[1:2] in ([b"204"], [b"304"]):
        return head
    return Message(first, tuple(headers), _body(file, head))


def _body(file: BinaryIO, head: Message) -> bytes:
    if b"chunked" not in head.header(b"transfer-encoding").lower():
        return file.read(int(head.header(b"content-length") or 0))
    chunks = []
    while size := int(file.readline().split(b";")[0], 16):
        chunks.append(file.read(size))
        file.readline()
    file.readline()
    return b"".join(chunks)


def _flipped(message: Message, at: float) -> Message:
    if not message.body:
        return message
    body = bytearray(message.body)
    body[int(len(body) * at)] ^= 1 << int(at * 1000) % 8
    return Message(message.first, message.headers, bytes(body))


def _error(status: int, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
    return Message(
        f"HTTP/1.1 {status} Injected".encode(), ((b"Content-Type", b"application/xml"),), body
    ).to_bytes()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def _closing(connection: socket.socket) -> Iterator[socket.socket]:
    try:
        yield connection
    finally:
        connection.close()
