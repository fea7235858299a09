"""An endpoint that speaks the OpenAI protocol over HTTP and fails as it is told: 429, 500, stalls, cut and odd replies.

`answer` is called with the request's body and gives the reply's text; the same request is always answered alike.
`python -m tests.support.fake_endpoint SECONDS` serves one by itself that answers `hash of the request` after so long.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "429",
    "429-date",
    "500",
    "503",
    "stall",
    "cut",
    "odd",
    "empty",
    "reset",
    "slow",
    "400-echo",
    "401-echo",
)


class Fake:
    """What an endpoint does, and what it was asked."""

    def __init__(self, answer=None, *, seconds=0.0, fault=None, key=None, usage=True):
        self.answer = answer or (lambda body: f"reply {digest(body)}")
        self.seconds = seconds
        self.fault = fault or (lambda body, number: None)
        """Called with a body and how often it came before; gives one of `FAULTS`, a status, or `None`."""
        self.key, self.usage = key, usage
        self.seen, self.bodies, self.at_once, self.most, self.times = Counter(), [], 0, 0, []
        self.lock = threading.Lock()
        self.keep = True

    @contextmanager
    def counted(self, body):
        with self.lock:
            number = self.seen[digest(body)]
            self.seen[digest(body)] += 1
            self.times.append(time.monotonic())
            if self.keep:
                self.bodies.append(body)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            yield number
        finally:
            with self.lock:
                self.at_once -= 1


def digest(body):
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]


def completion(text, body, finish="stop", usage=True):
    counts = {"prompt_tokens": 100, "completion_tokens": max(1, len(text) // 4)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"object": "chat.completion", "model": body["model"], "choices": [choice]} | (
        {"usage": counts} if usage else {}
    )


def handler(fake):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            self.give(200, b'{"data": []}')

        def do_POST(self):
            length = int(self.headers["Content-Length"])
            data = self.rfile.read(length)
            if len(data) < length:  # whoever asked was killed
                self.close_connection = True
                return None
            body = json.loads(data)
            if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
                return self.give(
                    401, json.dumps({"error": {"message": "wrong key: sk-0123456789abcdef0123"}}).encode()
                )
            with fake.counted(body) as number:
                fault = fake.fault(body, number)
                if fault is None:
                    time.sleep(fake.seconds)
                    text = fake.answer(body)
                    data = text if isinstance(text, dict) else completion(text, body, usage=fake.usage)
                    return self.give(200, json.dumps(data).encode())
                return self.misbehave(fault, body)

        def misbehave(self, fault, body):
            whole = json.dumps(completion("never whole", body)).encode()
            if fault == "429":
                self.give(429, b'{"error": {"message": "slow down"}}', {"Retry-After": "0.05"})
            elif fault == "429-date":
                self.give(429, b"busy", {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"})
            elif fault.endswith("-echo"):
                said = f"what is `{self.headers['Authorization']}`?"
                self.give(int(fault.split("-")[0]), json.dumps({"error": {"message": said}}).encode())
            elif fault == "stall":
                time.sleep(2)
                self.close_connection = True
            elif fault == "cut":
                self.give(200, whole[: len(whole) // 2], length=len(whole))
                self.close_connection = True
            elif fault == "odd":
                self.give(200, b'{"choices": "none"}')
            elif fault == "empty":
                self.give(200, b"")
            elif fault == "reset":
                self.close_connection = True
            elif fault == "slow":
                self.give(200, b"", length=len(whole))
                for byte in whole:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.1)
            else:
                self.give(int(fault), json.dumps({"error": {"message": f"fault {fault}"}}).encode())

        def give(self, status, data, headers=(), length=None):
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            self.wfile.write(data)

        def handle(self):
            with suppress(ConnectionError, TimeoutError):  # the client had enough
                super().handle()

        def log_message(self, *args):
            pass

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def serving(fake, port=0):
    """The URL, up to and with `/v1`."""
    server = Server(("127.0.0.1", port), handler(fake))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    alone = Fake(seconds=float(sys.argv[1]))
    alone.keep = False
    with serving(alone) as url:
        print(url, flush=True)
        sys.stdin.read()
