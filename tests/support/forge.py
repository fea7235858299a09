"""Servers that answer as GitHub and GitLab do, as far as comments need them, over HTTP."""

import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

SHA, MERGED = "a" * 40, "b" * 40
TOKEN = "sesame-opens-1234"


class Forge:
    """Comments of one pull request, number 7, and what was asked of them."""

    def __init__(self, gitlab, sha=SHA, merged=MERGED):
        self.gitlab, self.sha, self.merged = gitlab, sha, merged
        self.comments, self.asked, self.failing = {}, Counter(), []
        self.number = 100

    def add(self, body, mine=True):
        self.number += 1
        self.comments[self.number] = {"id": self.number, "body": body, "mine": mine}

    def answer(self, method, path, query, body):
        """Status and data."""
        self.asked[method] += 1
        if self.failing:
            return self.failing.pop(0), {"message": "no"}
        if path == "/user":
            return 200, {"id": 5}
        if path.endswith("/pulls") and "/commits/" not in path:
            moved = {"number": 6, "head": {"sha": "c" * 40}}
            assert query["head"] == ["mei:a branch"]
            return 200, [moved, {"number": 7, "head": {"sha": self.sha}}]
        if "/commits/" in path:
            return 200, [
                {"number": 7, "iid": 7, "merge_commit_sha": self.merged}
            ] if self.merged in path else []
        last = path.rsplit("/", 1)[1]
        if method == "GET":
            return 200, self.page(int(query["page"][0]), int(query["per_page"][0]))
        if method == "POST":
            assert "/7/" in path
            self.add(body["body"])
            return 201, {}
        if method == "DELETE":
            del self.comments[int(last)]
            return 204, None
        assert method == ("PUT" if self.gitlab else "PATCH")
        self.comments[int(last)]["body"] = body["body"]
        return 200, {}

    def page(self, page, size):
        found = list(self.comments.values())[(page - 1) * size : page * size]
        if self.gitlab:
            return [
                {"id": c["id"], "body": c["body"], "author": {"id": 5 if c["mine"] else 9}} for c in found
            ]
        login = {True: "github-actions[bot]", False: "mallory"}
        return [{"id": c["id"], "body": c["body"], "user": {"login": login[c["mine"]]}} for c in found]

    @property
    def bodies(self):
        return [c["body"] for c in self.comments.values()]


@contextmanager
def serving(found):
    """The variables of a job that talks to it."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            if self.headers.get("PRIVATE-TOKEN" if found.gitlab else "Authorization", "").split()[-1:] != [
                TOKEN
            ]:
                status, data = 401, {}
            else:
                url, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, data = found.answer(self.command, unquote(url.path), parse_qs(url.query), body)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://elsewhere.example/")
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(b"" if data is None else json.dumps(data).encode())

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        if found.gitlab:
            project = {"CI_PROJECT_ID": "group/project", "CI_MERGE_REQUEST_IID": "7"}
            yield {"GITLAB_CI": "true", "CI_API_V4_URL": url, "C2F_COMMENT_TOKEN": TOKEN, **project}
        else:
            yield {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": TOKEN}
    finally:
        server.shutdown()
        server.server_close()
