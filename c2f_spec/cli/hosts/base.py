"""What both hosts have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Protocol

from c2f_spec.errors import WrongUsage

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
    """Of the environment. Raises `WrongUsage` if it is needed and not set."""
    value = os.environ.get(name, default)
    if not value:
        raise WrongUsage(f"the variable {name} is not set", hint="this runs in a job of GitHub or GitLab")
    return value
