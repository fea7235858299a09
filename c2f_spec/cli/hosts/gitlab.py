"""GitLab: notes of a merge request. Same words as for GitHub: a comment is a note.

https://docs.gitlab.com/api/notes/
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from c2f_spec.cli.hosts.api import Api
from c2f_spec.cli.hosts.base import Comment, variable

if TYPE_CHECKING:
    from collections.abc import Iterator


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
