"""Ranges of large objects from a server that answers badly: the right bytes, or an error that may be tried again."""

from __future__ import annotations

import os
import random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from obstore.exceptions import GenericError

from c2f_spec.store import transfer
from c2f_spec.store.open import open_store

DATA = random.Random(1).randbytes(300_000)
START, LENGTH = 1000, 250_000


@pytest.fixture
def answering(monkeypatch):
    """`answering(status, body, length)`: a bucket whose every GET is answered so; returns the store."""
    servers = []

    def serve(status, body, length=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "c2f")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-shown")
        return open_store("s3://bucket/prefix")

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def read(objects, tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        transfer.stream_range(objects, "name", descriptor, START, LENGTH)
        return os.pread(descriptor, LENGTH, START)
    finally:
        os.close(descriptor)


def test_the_bytes_go_to_their_place(answering, tmp_path):
    wanted = DATA[START : START + LENGTH]
    assert read(answering(206, wanted), tmp_path) == wanted


@pytest.mark.parametrize(
    ("status", "body", "length", "error", "told"),
    [
        (206, b"torn", LENGTH, GenericError, "IncompleteRead"),
        (206, b"short", None, GenericError, "IncompleteRead"),
        (200, b"whole", None, transfer.NoRanges, "^$"),
        (404, b"<Code>NoSuchKey</Code>", None, FileNotFoundError, "NoSuchKey"),
        (503, b"<Code>SlowDown</Code>", None, GenericError, "status code: 503 <Code>SlowDown</Code>"),
        (403, b"<Code>AccessDenied</Code>", None, GenericError, "status code: 403"),
    ],
)
def test_what_is_not_the_range_is_an_error(answering, tmp_path, status, body, length, error, told):
    with pytest.raises(error, match=told) as caught:
        read(answering(status, body, length), tmp_path)
    assert "never-shown" not in str(caught.value)
    assert "Signature" not in str(caught.value)


def test_a_server_that_is_not_there_may_come_back(answering, tmp_path, monkeypatch):
    objects = answering(206, b"")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(GenericError, match="the connection failed: ConnectionRefusedError"):
        read(open_store(objects.url), tmp_path)


def test_a_proxy_is_heeded(answering, monkeypatch):
    assert answering(206, b"").direct
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    assert not answering(206, b"").direct
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert answering(206, b"").direct
