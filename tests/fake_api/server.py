"""The HTTP side of the fake: verbs, watches, pages, discovery, and faults on demand."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from c2f_spec.targets.kubernetes.client import ACCESS_REVIEWS, PODS, RESOURCES
from tests.fake_api.discovery import discovery_answer
from tests.fake_api.objects import Refusal, is_selected
from tests.fake_api.state import State

BOOKMARK_SECONDS = 0.5


@dataclass
class Fault:
    """A fault of one request, instead of its answer or before it."""

    status: int = 0
    """Status of the answer; the request is not carried out."""
    retry_after: int | None = None
    drop: str = ""
    """`before` breaks the connection at once, `after` carries the request out and sends no answer."""
    delay: float = 0.0
    cut: int | None = None
    """Number of events after which a watch ends, in the middle of a line."""
    warnings: tuple[str, ...] = ()


@dataclass
class ApiRequest:
    """A request, parsed."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict | None
    resource: object = None
    namespace: str | None = None
    name: str | None = None
    sub: str | None = None
    number: int = 0


@dataclass
class FakeApi:
    """Serves a `State` on a port of this machine, for as long as the `with` block lasts."""

    state: State = field(default_factory=State)
    fault: object = None
    """`fault(asked) -> Fault | None`, called for every request."""
    admission: object = None
    """`admission(manifest)`: may raise `Refusal`, or return warnings."""
    after: object = None
    """`after(asked)`, called when a request was carried out and before its answer is sent."""
    token: str | None = None
    """Bearer token that requests need, if any."""
    denied: frozenset = frozenset()
    """(verb, resource) that an access review refuses."""
    port: int = 0
    tls: object = None
    """An `ssl.SSLContext` to serve with; plain HTTP without."""
    write_delay: float = 0.0
    """Seconds added to every write, as by a slow disk."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """(method, path with query) of every request."""
    logs: object = None
    """`logs(namespace, pod, query)` → lines of a pod."""

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def up(self):
        handler = type("Bound", (Handler,), {"api": self})
        self._server = Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def down(self):
        """Break every connection, as a server that is killed; its state stays."""
        self._server.stopping = True
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self.state.changed:
            self.state.changed.notify_all()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, *args):
        super().__init__(*args)
        self.connections, self.stopping = set(), False

    def process_request(self, request, address):
        self.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_):
        """Print nothing: tests kill clients."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    api: FakeApi

    def log_message(self, *_):
        """Print nothing: `FakeApi.requests` is the log."""

    def do_GET(self):
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  names that http.server wants

    def _answer(self):
        api = self.api
        asked = self._read()
        api.requests.append((asked.method, self.path))
        asked.number = len(api.requests)
        fault = api.fault(asked) if api.fault else None
        fault = fault or Fault()
        time.sleep(fault.delay)
        if fault.drop == "before" or self.server.stopping:
            return self._break()
        warnings = list(fault.warnings)
        try:
            self._admit(asked, fault)
            if asked.query.get("watch") in ("1", "true"):
                return self._watch(asked, fault.cut)
            if asked.sub == "log":
                return self._log(asked)
            answer, code = self._do(asked, warnings)
        except Refusal as refusal:
            answer, code = refusal.status(), refusal.code
        if api.after:
            api.after(asked)
        if fault.drop == "after":
            return self._break()
        self._send(code, answer, warnings, fault.retry_after)
        return None

    def _admit(self, asked, fault):
        """Raise the fault's refusal, or 401."""
        if fault.status:
            raise Refusal(fault.status, "Fault", "a fault was asked for")
        if self.api.token is not None and asked.headers.get("authorization") != f"Bearer {self.api.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")

    def _read(self):
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        headers = {k.lower(): v for k, v in self.headers.items()}
        asked = ApiRequest(self.command, url.path, query, headers, json.loads(raw) if raw else None)
        parts = [unquote(p) for p in url.path.strip("/").split("/")]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        version = "/".join(parts[1:2] if parts[0] == "api" else parts[1:3])
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            asked.namespace, rest = rest[1], rest[2:]
        if rest:
            found = [r for r in RESOURCES.values() if (r.api_version, r.plural) == (version, rest[0])]
            asked.resource = found[0] if found else None
            asked.name = rest[1] if len(rest) > 1 else None
            asked.sub = rest[2] if len(rest) > 2 else None
        return asked

    def _do(self, asked, warnings):
        state, resource = self.api.state, asked.resource
        if resource is None:
            return discovery_answer(asked.path), 200
        dry_run = asked.query.get("dryRun") == "All"
        where = (resource, asked.namespace)
        if asked.method != "GET":
            time.sleep(self.api.write_delay)
        if asked.method in ("POST", "PUT", "PATCH") and self.api.admission:
            warnings += self.api.admission(asked.body) or ()
        if asked.method == "POST" and resource is ACCESS_REVIEWS:
            given = asked.body["spec"]["resourceAttributes"]
            return {
                **asked.body,
                "status": {"allowed": (given["verb"], given["resource"]) not in self.api.denied},
            }, 201
        if asked.method == "POST" and asked.sub == "eviction":
            return state.delete(resource, asked.namespace, asked.name), 201
        if asked.method == "POST":
            return state.create(*where, asked.body, dry_run=dry_run), 201
        if asked.method == "PUT":
            return state.replace(*where, asked.name, asked.body, dry_run=dry_run), 200
        if asked.method == "PATCH" and asked.headers["content-type"].startswith("application/apply-patch"):
            force, manager = asked.query.get("force") == "true", asked.query["fieldManager"]
            return state.apply(*where, asked.name, asked.body, manager, force=force, dry_run=dry_run), 200
        if asked.method == "PATCH":
            return state.merge(*where, asked.name, asked.body), 200
        if asked.method == "DELETE":
            uid = ((asked.body or {}).get("preconditions") or {}).get("uid")
            return state.delete(*where, asked.name, uid=uid), 200
        return (state.get(*where, asked.name) if asked.name else self._list(asked)), 200

    def _list(self, asked):
        state, resource = self.api.state, asked.resource
        with state.changed:
            version, start = state.version, None
            if asked.query.get("continue"):
                version, start = json.loads(base64.b64decode(asked.query["continue"]))
                if version < state.oldest:
                    raise Refusal(410, "Expired", "the provided continue parameter is too old")
            items = [i for i in state.all(resource, asked.namespace) if is_selected(i, asked.query)]
        items = [
            i
            for i in items
            if start is None or [i["metadata"].get("namespace"), i["metadata"]["name"]] > start
        ]
        limit = int(asked.query.get("limit") or 0) or len(items)
        page, more = items[:limit], len(items) > limit
        metadata = {"resourceVersion": str(version)}
        if more:
            last = page[-1]["metadata"]
            token = json.dumps([version, [last.get("namespace"), last["name"]]])
            metadata["continue"] = base64.b64encode(token.encode()).decode()
            metadata["remainingItemCount"] = len(items) - limit
        kind, api_version = f"{resource.kind}List", resource.api_version
        if "PartialObjectMetadataList" in asked.headers.get("accept", ""):
            kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            page = [{"metadata": i["metadata"]} for i in page]
        return {"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": page}

    def _watch(self, asked, cut):
        """Send events until the time is over, or client or server are gone."""
        state, resource = self.api.state, asked.resource
        seen = int(asked.query.get("resourceVersion") or state.version)
        end = time.monotonic() + float(asked.query.get("timeoutSeconds") or 300)
        state.after(seen, resource, asked.namespace)  # a 410 comes as an answer if it is known at once
        self._start("application/json;stream=watch")
        sent = 0
        matched = set()
        while time.monotonic() < end and not self.server.stopping:
            with state.changed:
                try:
                    events = state.after(seen, resource, asked.namespace)
                except Refusal as refusal:
                    self._event("ERROR", refusal.status())
                    break
                if not events and not state.changed.wait(BOOKMARK_SECONDS):
                    if state.after(seen, resource, asked.namespace):
                        continue  # it came between the end of the wait and the lock
                    seen = state.version
                    meta = {"resourceVersion": str(seen), "creationTimestamp": None}
                    bookmark = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
                    if asked.query.get("allowWatchBookmarks"):
                        self._event("BOOKMARK", bookmark)
                    continue
            for number, what, item in events:
                seen = number
                if not is_selected(item, asked.query):
                    continue
                matched.add(item["metadata"]["name"])
                if cut is not None and sent == cut:
                    self.wfile.write(b"40\r\n" + json.dumps({"type": what})[:20].encode())
                    return self._break()
                self._event(what, item)
                sent += 1
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        return None

    def _log(self, asked):
        state = self.api.state
        state.get(PODS, asked.namespace, asked.name)
        lines = self.api.logs(asked.namespace, asked.name, asked.query) if self.api.logs else ()
        self._start("text/plain")
        for line in lines:
            data = f"{line}\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _start(self, content):
        self.send_response(200)
        self.send_header("Content-Type", content)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _event(self, what, item):
        data = json.dumps({"type": what, "object": item}).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, code, answer, warnings, retry_after):
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for text in warnings:
            self.send_header("Warning", f'299 - "{text}"')
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(data)

    def _break(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
