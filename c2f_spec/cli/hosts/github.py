"""GitHub: comments of a pull request, and which pull request a commit is of.

https://docs.github.com/en/rest/issues/comments, https://docs.github.com/en/rest/pulls/pulls
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from c2f_spec.cli.hosts.api import Api
from c2f_spec.cli.hosts.base import Comment, variable
from c2f_spec.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        raise WrongUsage("which pull request?", hint="--number, or --head and --sha, or --sha of a merge")
    return None if number is None else GitHub(api, repository, number, author)
