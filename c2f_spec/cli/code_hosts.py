"""Comments on a pull request of GitHub or a merge request of GitLab, by JSON over HTTP with a token."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode, urlsplit

from c2f_spec.errors import Unreachable, UsageError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator


class Comment(NamedTuple):
    """A comment that the account of this token wrote."""

    id: str
    body: str


class PullRequest(Protocol):
    """The comments of a pull request or merge request."""

    def comments(self) -> Iterator[Comment]:
        """Yield the comments that the account of this token wrote: others may write our marker, too."""

    def create(self, body: str) -> None: ...

    def update(self, comment: Comment, body: str) -> None: ...

    def delete(self, comment: Comment) -> None: ...


def read_variable(name: str, default: str = "") -> str:
    """Return an environment variable. Raise `UsageError` if it is not set and has no default."""
    value = os.environ.get(name, default)
    if not value:
        raise UsageError(f"the variable {name} is not set", hint="run this in a job of GitHub or GitLab")
    return value


TRIES = 4
MAX_WAIT_SECONDS = 30.0
"""The longest wait that a server may ask for."""
PAGE_SIZE = 100
MOST_PAGES = 50
RETRIED_CODES = (429, 500, 502, 503, 504)


class Api(NamedTuple):
    """The root of an API, and the header that authenticates."""

    url: str
    token: tuple[str, str]
    """Name and value of the header. It is sent to this host alone: redirects are not followed."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer as data, after several tries if need be. Raise `Unreachable`, without the token in its message."""
        for attempt in range(TRIES):
            request = urllib.request.Request(  # noqa: S310  the scheme is checked by `check_scheme`
                check_scheme(f"{self.url}/{path}"),
                None if body is None else json.dumps(body).encode(),
                {
                    "Accept": "application/json",
                    "Content-Type": "application/json",
                    self.token[0]: self.token[1],
                },
                method=method,
            )
            try:
                with OPENER.open(request, timeout=30) as answer:
                    data = answer.read()
                    return json.loads(data) if data else None
            except urllib.error.HTTPError as error:
                limited = error.code == 403 and error.headers.get("Retry-After")
                if attempt + 1 == TRIES or (error.code not in RETRIED_CODES and not limited):
                    raise _describe_error(method, path, error) from None
                time.sleep(_wait(error.headers.get("Retry-After"), attempt))
            except OSError as error:
                if attempt + 1 == TRIES or method == "POST":  # it may have arrived
                    raise Unreachable(f"{urlsplit(self.url).netloc} does not answer: {error}") from None
                time.sleep(_wait(None, attempt))
        raise AssertionError("the last try returns or raises")

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield every entry of a list."""
        for number in range(1, MOST_PAGES + 1):
            entries = self.call(
                "GET", f"{path}?{urlencode({**query, 'per_page': PAGE_SIZE, 'page': number})}"
            )
            yield from entries
            if len(entries) < PAGE_SIZE:
                return


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that follows no redirect: the token must not be sent to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def check_scheme(url: str) -> str:
    """Return `url`. Raise `Unreachable` unless it is http or https."""
    if urlsplit(url).scheme not in ("https", "http"):
        raise Unreachable(f"{shorten(url)} is not the address of an API", hint="use http or https")
    return url


def _wait(retry_after: str | None, attempt: int) -> float:
    """Return the seconds until the next try."""
    if retry_after and retry_after.isdigit():
        return min(float(retry_after), MAX_WAIT_SECONDS)
    return 0.5 * 2.0**attempt


def _describe_error(method: str, path: str, error: urllib.error.HTTPError) -> Unreachable:
    hints = {
        401: "the token is not valid",
        403: "the token may not write comments: `pull-requests: write`, or the scope `api`",
        404: "the pull request is not found, or the token may not read it",
    }
    body = shorten(error.read(500).decode("utf-8", "replace").replace("\n", " "), 200)
    return Unreachable(
        f"{method} {path.split('?', maxsplit=1)[0]}: {error.code} {body}", hint=hints.get(error.code, "")
    )


BOT = "github-actions[bot]"
"""The account as which the token of a workflow writes."""


class GitHub:
    """A pull request of GitHub.

    https://docs.github.com/en/rest/issues/comments, https://docs.github.com/en/rest/pulls/pulls
    """

    def __init__(self, api: Api, repository: str, number: int, author: str) -> None:
        self.api, self.repository, self.number, self.author = api, f"repos/{repository}", number, author

    def comments(self) -> Iterator[Comment]:
        for item in self.api.pages(f"{self.repository}/issues/{self.number}/comments"):
            if (item.get("user") or {}).get("login") == self.author:
                yield Comment(str(item["id"]), item.get("body") or "")

    def create(self, body: str) -> None:
        self.api.call("POST", f"{self.repository}/issues/{self.number}/comments", {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        self.api.call("PATCH", f"{self.repository}/issues/comments/{comment.id}", {"body": body})

    def delete(self, comment: Comment) -> None:
        self.api.call("DELETE", f"{self.repository}/issues/comments/{comment.id}")


def find_pull_request(number: int | None, head: str | None, sha: str | None) -> GitHub | None:
    """Find a pull request by its number, by its branch (`owner:branch`) and newest commit, or by its merge commit.

    Returns `None` if there is none, as when its branch has moved on: another run will comment.
    """
    api = Api(
        read_variable("GITHUB_API_URL", "https://api.github.com"),
        ("Authorization", f"Bearer {read_variable('GITHUB_TOKEN')}"),
    )
    repository, author = read_variable("GITHUB_REPOSITORY"), os.environ.get("C2F_BOT", BOT)
    if number is None and head and sha:
        open_ = api.pages(f"repos/{repository}/pulls", state="open", head=head)
        number = next((p["number"] for p in open_ if p["head"]["sha"] == sha), None)
    elif number is None and sha:
        merged = api.pages(f"repos/{repository}/commits/{sha}/pulls")
        number = next((p["number"] for p in merged if p.get("merge_commit_sha") == sha), None)
    elif number is None:
        raise UsageError(
            "missing pull request", hint="add --number, or --head and --sha, or --sha of a merge commit"
        )
    return None if number is None else GitHub(api, repository, number, author)


class GitLab:
    """A merge request of GitLab, whose comments are called notes. https://docs.gitlab.com/api/notes/"""

    def __init__(self, api: Api, project: str, number: int, author: int) -> None:
        self.api, self.author = api, author
        self.notes = f"projects/{quote(project, safe='')}/merge_requests/{number}/notes"

    def comments(self) -> Iterator[Comment]:
        for item in self.api.pages(self.notes):
            if item["author"]["id"] == self.author:
                yield Comment(str(item["id"]), item["body"])

    def create(self, body: str) -> None:
        self.api.call("POST", self.notes, {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        self.api.call("PUT", f"{self.notes}/{comment.id}", {"body": body})

    def delete(self, comment: Comment) -> None:
        self.api.call("DELETE", f"{self.notes}/{comment.id}")


def find_merge_request(number: int | None, sha: str | None) -> GitLab | None:
    """Find a merge request by its number, which its pipeline knows, or by the commit that it was merged as."""
    api = Api(read_variable("CI_API_V4_URL"), ("PRIVATE-TOKEN", read_variable("C2F_COMMENT_TOKEN")))
    project = read_variable("CI_PROJECT_ID")
    if number is None and sha:
        path = f"projects/{quote(project, safe='')}/repository/commits/{sha}/merge_requests"
        merged = api.pages(path, state="merged")
        number = next(
            (m["iid"] for m in merged if sha in (m.get("merge_commit_sha"), m.get("squash_commit_sha"))), None
        )
        if number is None:
            return None
    return GitLab(
        api, project, number or int(read_variable("CI_MERGE_REQUEST_IID")), api.call("GET", "user")["id"]
    )
