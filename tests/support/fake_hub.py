"""Both hubs on loopback, as their APIs are documented, with the troubles of a long download on demand.

The Hugging Face Hub sends large files by a redirect to storage on another host, which refuses whoever brings a token.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = 4096
"""Bytes from which a file lies in storage."""
PAGE = 5
"""Files of a page of a listing."""


@dataclass
class FakeHub:
    """`files` are those of the one repository at the one revision; what was asked is in `asked`."""

    repository: str
    revision: str
    files: dict[str, bytes]
    token: str = ""
    trouble: list[tuple[str, str]] = field(default_factory=list)
    """(end of a path, what happens): each once. `cut`, `busy`, `whole`, `flip`, or `slow` for ever."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, range and token."""
    hub: str = ""
    storage: str = ""

    def take(self, path: str) -> str:
        for i, (end, what) in enumerate(self.trouble):
            if path.endswith(end):
                if what != "slow":
                    del self.trouble[i]
                return what
        return ""

    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.hub, "MODELSCOPE_ENDPOINT": self.hub}


@contextmanager
def serving(fake: FakeHub):
    servers = []
    for name in ("hub", "storage"):
        server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake, "place": name}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        setattr(fake, name, f"http://127.0.0.1:{server.server_address[1]}")
        servers.append(server)
    try:
        yield fake
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Whoever hung up was killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    place: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        path, query = unquote(url.path), {k: v[0] for k, v in parse_qs(url.query).items()}
        token = self.headers.get("Authorization", "")
        self.fake.asked.append((path, self.headers.get("Range", ""), token))
        fake, repository, revision = self.fake, self.fake.repository, self.fake.revision
        if self.place == "storage":
            name = path.removeprefix("/storage/")
            return self._error(400) if token else self._file(name)
        if fake.token and token != f"Bearer {fake.token}":
            return self._error(401)
        if path == f"/api/models/{repository}/tree/{revision}":
            return self._tree(int(query.get("cursor", "0")))
        if path.startswith(f"/{repository}/resolve/{revision}/"):
            return self._resolve(path.removeprefix(f"/{repository}/resolve/{revision}/"))
        if path == f"/api/v1/models/{repository}/repo/files" and query["Revision"] == revision:
            return self._json({"Code": 200, "Data": {"Files": [*map(self._modelscope, fake.files)]}})
        if path == f"/api/v1/models/{repository}/repo" and query["Revision"] == revision:
            return self._file(query["FilePath"])
        if path.startswith("/api/v1/"):
            return self._json({"Code": 10010205001, "Message": "no such revision", "Data": None})
        return self._error(404)

    def _tree(self, start):
        names = list(self.fake.files)[start : start + PAGE]
        more = {}
        if start + PAGE < len(self.fake.files):
            here = f"/api/models/{self.fake.repository}/tree/{self.fake.revision}"
            more = {"Link": f'<{self.fake.hub}{here}?recursive=true&cursor={start + PAGE}>; rel="next"'}
        self._json(
            [{"type": "directory", "path": "folder", "size": 0, "oid": "0"}, *map(self._hf, names)], more
        )

    def _hf(self, name):
        data = self.fake.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        large = {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
        return {
            "type": "file",
            "path": name,
            "size": len(data),
            "oid": blob,
            **(large if len(data) >= LARGE else {}),
        }

    def _modelscope(self, name):
        data = self.fake.files[name]
        return {"Path": name, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}

    def _resolve(self, name):
        if len(self.fake.files[name]) < LARGE:
            return self._file(name)
        self.send_response(302)
        self.send_header("Location", f"{self.fake.storage}/storage/{quote(name)}?Signature=secret")
        self.send_header("X-Linked-Size", str(len(self.fake.files[name])))
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _file(self, name):
        data, what = self.fake.files[name], self.fake.take(name)
        if what == "busy":
            return self._error(429, {"Retry-After": "0"})
        if what == "flip":
            data = data[:-1] + bytes([data[-1] ^ 1])
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and what != "whole" else 0
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if what == "slow":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            threading.Event().wait(30)
        if what == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return None
        self.wfile.write(body)
        return None

    def _json(self, value, headers=None):
        body = json.dumps(value).encode()
        self.send_response(200)
        for header, text in (headers or {}).items():
            self.send_header(header, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, code, headers=None):
        self.send_response(code)
        for header, text in (headers or {}).items():
            self.send_header(header, text)
        self.send_header("Content-Length", "0")
        self.end_headers()
