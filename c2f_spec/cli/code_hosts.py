"""JSON over HTTP with a token: retried where that helps, and told in one sentence where it does not."""

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
    """One of ours."""

    id: str
    body: str


class Host(Protocol):
    """A pull request."""

    def comments(self) -> Iterator[Comment]:
        """Those that this token's own account wrote: anybody may write our marker."""

    def create(self, body: str) -> None: ...

    def update(self, comment: Comment, body: str) -> None: ...

    def delete(self, comment: Comment) -> None: ...


def variable(name: str, default: str = "") -> str:
    """Of the environment. Raises `UsageError` if it is needed and not set."""
    value = os.environ.get(name, default)
    if not value:
        raise UsageError(f"the variable {name} is not set", hint="this runs in a job of GitHub or GitLab")
    return value


TRIES = 4
LONGEST_WAIT = 30.0
"""Seconds that a server may ask us to wait."""
PAGE = 100
MOST_PAGES = 50
WORTH_ANOTHER_TRY = (429, 500, 502, 503, 504)


class Api(NamedTuple):
    """The root of an API, and the header that says who we are."""

    url: str
    token: tuple[str, str]
    """Name and value of the header. It is sent to this host alone: redirects are not followed."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer as data. Raises `Unreachable`, without the token in its words."""
        for attempt in range(TRIES):
            request = urllib.request.Request(  # noqa: S310  the scheme is checked by `checked`
                checked(f"{self.url}/{path}"),
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
                if attempt + 1 == TRIES or (error.code not in WORTH_ANOTHER_TRY and not limited):
                    raise _refused(method, path, error) from None
                time.sleep(_wait(error.headers.get("Retry-After"), attempt))
            except OSError as error:
                if attempt + 1 == TRIES or method == "POST":  # it may have arrived
                    raise Unreachable(f"{urlsplit(self.url).netloc} does not answer: {error}") from None
                time.sleep(_wait(None, attempt))
        raise AssertionError("the last try returns or raises")

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list."""
        for number in range(1, MOST_PAGES + 1):
            found = self.call("GET", f"{path}?{urlencode({**query, 'per_page': PAGE, 'page': number})}")
            yield from found
            if len(found) < PAGE:
                return


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token must not follow to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def checked(url: str) -> str:
    """Raises `Unreachable` if a token would be sent where it should not."""
    if urlsplit(url).scheme not in ("https", "http"):
        raise Unreachable(f"{shorten(url)} is no address of an API", hint="http or https")
    return url


def _wait(asked: str | None, attempt: int) -> float:
    """Seconds."""
    if asked and asked.isdigit():
        return min(float(asked), LONGEST_WAIT)
    return 0.5 * 2.0**attempt


def _refused(method: str, path: str, error: urllib.error.HTTPError) -> Unreachable:
    hints = {
        401: "the token is not valid",
        403: "the token may not write comments: `pull-requests: write`, or the scope `api`",
        404: "the token may not see it, or the pull request is not there",
    }
    said = shorten(error.read(500).decode("utf-8", "replace").replace("\n", " "), 200)
    return Unreachable(
        f"{method} {path.split('?', maxsplit=1)[0]}: {error.code} {said}", hint=hints.get(error.code, "")
    )


# GitHub: comments of a pull request, and which pull request a commit is of.
#
# https://docs.github.com/en/rest/issues/comments, https://docs.github.com/en/rest/pulls/pulls


BOT = "github-actions[bot]"
"""Whose comments the token of a workflow writes."""


class GitHub:
    """A pull request."""

    def __init__(self, api: Api, repository: str, number: int, author: str) -> None:
        self.api, self.repository, self.number, self.author = api, f"repos/{repository}", number, author

    def comments(self) -> Iterator[Comment]:
        for found in self.api.pages(f"{self.repository}/issues/{self.number}/comments"):
            if (found.get("user") or {}).get("login") == self.author:
                yield Comment(str(found["id"]), found.get("body") or "")

    def create(self, body: str) -> None:
        self.api.call("POST", f"{self.repository}/issues/{self.number}/comments", {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        self.api.call("PATCH", f"{self.repository}/issues/comments/{comment.id}", {"body": body})

    def delete(self, comment: Comment) -> None:
        self.api.call("DELETE", f"{self.repository}/issues/comments/{comment.id}")


def pull_request(number: int | None, head: str | None, sha: str | None) -> GitHub | None:
    """By its number, by its branch (`owner:branch`) and newest commit, or by the commit that it was merged as.

    `None` if there is none, as when its branch has moved on: another run will comment. What a pull request says of
    itself is looked up, and not taken from it.
    """
    api = Api(
        variable("GITHUB_API_URL", "https://api.github.com"),
        ("Authorization", f"Bearer {variable('GITHUB_TOKEN')}"),
    )
    repository, author = variable("GITHUB_REPOSITORY"), os.environ.get("C2F_BOT", BOT)
    if number is None and head and sha:
        open_ = api.pages(f"repos/{repository}/pulls", state="open", head=head)
        number = next((p["number"] for p in open_ if p["head"]["sha"] == sha), None)
    elif number is None and sha:
        merged = api.pages(f"repos/{repository}/commits/{sha}/pulls")
        number = next((p["number"] for p in merged if p.get("merge_commit_sha") == sha), None)
    elif number is None:
        raise UsageError("which pull request?", hint="--number, or --head and --sha, or --sha of a merge")
    return None if number is None else GitHub(api, repository, number, author)


# GitLab: notes of a merge request. Same words as for GitHub: a comment is a note.
#
# https://docs.gitlab.com/api/notes/


class GitLab:
    """A merge request."""

    def __init__(self, api: Api, project: str, number: int, author: int) -> None:
        self.api, self.author = api, author
        self.notes = f"projects/{quote(project, safe='')}/merge_requests/{number}/notes"

    def comments(self) -> Iterator[Comment]:
        for found in self.api.pages(self.notes):
            if found["author"]["id"] == self.author:
                yield Comment(str(found["id"]), found["body"])

    def create(self, body: str) -> None:
        self.api.call("POST", self.notes, {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        self.api.call("PUT", f"{self.notes}/{comment.id}", {"body": body})

    def delete(self, comment: Comment) -> None:
        self.api.call("DELETE", f"{self.notes}/{comment.id}")


def merge_request(number: int | None, sha: str | None) -> GitLab | None:
    """By its number, which a pipeline of a merge request knows, or by the commit that it was merged as."""
    api = Api(variable("CI_API_V4_URL"), ("PRIVATE-TOKEN", variable("C2F_COMMENT_TOKEN")))
    project = variable("CI_PROJECT_ID")
    if number is None and sha:
        path = f"projects/{quote(project, safe='')}/repository/commits/{sha}/merge_requests"
        merged = api.pages(path, state="merged")
        number = next(
            (m["iid"] for m in merged if sha in (m.get("merge_commit_sha"), m.get("squash_commit_sha"))), None
        )
        if number is None:
            return None
    return GitLab(
        api, project, number or int(variable("CI_MERGE_REQUEST_IID")), api.call("GET", "user")["id"]
    )
