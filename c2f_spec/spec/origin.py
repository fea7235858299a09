"""Where a launch came from: recorded with every result, in no key."""

from pydantic import Field

from c2f_spec.spec.base import SpecModel


class Origin(SpecModel):
    """The tree that somebody launched from, and how."""

    version: str = Field(description="Version of c2f-spec.")
    commit: str | None = Field(description="Of the specs' repository; absent: it has none.")
    branch: str | None = Field(default=None, description="Checked out; absent: none, as in CI.")
    pushed: bool = Field(default=False, description="Whether a remote is known to have the commit.")
    changed: tuple[str, ...] = Field(
        default=(), description="Files that were not as committed, up to a hundred; the tree was dirty."
    )
    base: str | None = Field(
        default=None, description="The commit that the patch starts from: the newest one that a remote has."
    )
    patch: str | None = Field(
        default=None, description="SHA-256 of `provenance/<digest>.patch` in the store, from base to tree."
    )
    author: str = Field(description="Who launched.")
    argv: tuple[str, ...] = Field(description="The command line, without secrets.")

    @property
    def dirty(self) -> bool:
        return bool(self.changed)
