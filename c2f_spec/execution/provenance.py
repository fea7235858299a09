"""Read from git which tree a launch comes from, and refuse trees that a cluster must not run.

A cluster's results outlive the machine that launched them, so they name a commit that others can fetch. A tree with
changes, or a commit that no remote is known to have, is refused. With `--allow-dirty` the difference between commit and
tree goes to the store, and every result that the launch makes is marked. Files that git ignores are no part of it.

The network is not used: a remote has what was last pushed to it or fetched from it.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import c2f_spec
from c2f_spec.errors import Denied, sanitize
from c2f_spec.masking import mask_secrets, secret_values
from c2f_spec.plan.model import origin_digest
from c2f_spec.spec.plan_json import Origin
from c2f_spec.store.digest import seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore


MAX_CHANGED_FILES = 100
"""Changed files that an origin names, at most."""
MAX_PATCH_BYTES = 5_000_000
"""Bytes. More is data, and belongs into the store by `data add`."""


def with_origin(
    plan: Plan, root: Path, argv: Sequence[str], *, allow_dirty: bool
) -> tuple[Plan, Origin, bytes]:
    """Return the plan with its origin, the origin, and the patch between commit and tree. Nothing is written.

    `root` is the repository of the specs. Raises `Denied` where a cluster would run a tree that nobody else can fetch;
    this machine runs any.
    """
    origin, patch = read_origin(root, argv), b""
    if plan.environment.requires_committed_tree:
        refuse_unpublished(origin, allow_dirty=allow_dirty)
    if allow_dirty and origin.commit and (origin.dirty or not origin.pushed):
        origin, patch = with_patch(origin, root)
    return replace(plan, origin=origin), origin, patch


def read_origin(root: Path, argv: Sequence[str]) -> Origin:
    """Return the state of the repository at `root`. Without git, or outside of a repository, there is no commit."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    values = secret_values()
    if not commit:
        return Origin(
            version=c2f_spec.VERSION, commit=None, author=author(root), argv=_masked_argv(argv, values)
        )
    return Origin(
        version=c2f_spec.VERSION,
        commit=commit,
        branch=_git(root, "symbolic-ref", "--short", "--quiet", "HEAD").strip() or None,
        pushed=bool(_git(root, "for-each-ref", "--contains", "HEAD", "--count=1", "refs/remotes")),
        changed=tuple(changed_files(root)[:MAX_CHANGED_FILES]),
        author=author(root),
        argv=_masked_argv(argv, values),
    )


def changed_files(root: Path) -> list[str]:
    """Return files that differ from the commit or are untracked, relative to the root of the repository."""
    entries = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames").split("\0")
    return sorted(entry[3:] for entry in entries if entry)


def refuse_unpublished(origin: Origin, *, allow_dirty: bool) -> None:
    """Raise `Denied` if others could not fetch what is about to run on a cluster."""
    remedy = "; --allow-dirty runs it all the same, stores the difference and marks every result"
    if origin.commit is None:
        raise Denied(
            "the specs are in no commit, so a cluster's results could not name one",
            hint="git init, commit and push",
        )
    if allow_dirty:
        return
    if origin.dirty:
        some = ", ".join(origin.changed[:3]) + (", ..." if len(origin.changed) > 3 else "")
        count = f"{len(origin.changed)}{' or more' if len(origin.changed) == MAX_CHANGED_FILES else ''}"
        message = f"the tree is not as committed, in {count} files: {some}"
        raise Denied(sanitize(message), hint=f"commit and push{remedy}")
    if not origin.pushed:
        raise Denied(f"no remote is known to have the commit {origin.commit[:10]}", hint=f"git push{remedy}")


def with_patch(origin: Origin, root: Path) -> tuple[Origin, bytes]:
    """Return the origin with the digest of the difference between the newest pushed commit and the tree; and the difference.

    Where no remote has any of its commits, it starts from the commit, which this machine alone has.
    Raises `Denied` if it holds what looks like a credential, or is too large to be a change of code.
    """
    remotes = _git(root, "for-each-ref", "--format=%(objectname)", "refs/remotes").split()
    base = (_git(root, "merge-base", "HEAD", *remotes).strip() if remotes else "") or "HEAD"
    patch = _difference(root, base)
    if len(patch) > MAX_PATCH_BYTES:
        raise Denied(
            f"the difference to the commit has {len(patch):,} bytes, at most {MAX_PATCH_BYTES:,} are stored",
            hint="name data and outputs in .gitignore",
        )
    for part in patch.decode("utf-8", "replace").split("\ndiff --git "):
        if mask_secrets(part, secret_values()) != part:
            name = part.splitlines()[0].rsplit(" b/", 1)[-1]
            raise Denied(
                sanitize(f"{name} holds what looks like a credential, and would be stored for all to read"),
                hint="take it out, or name the file in .gitignore",
            )
    found = {"base": origin.commit if base == "HEAD" else base, "patch": hashlib.sha256(patch).hexdigest()}
    return origin.model_copy(update=found), patch


def save_origin(store: ObjectStore, origin: Origin, patch: bytes = b"") -> str:
    """Store an origin and its patch; return the digest of the origin."""
    if origin.patch:
        store.create(f"provenance/{origin.patch}.patch", patch)
    digest = origin_digest(origin)
    store.create(f"provenance/{digest}.json", seal(origin.model_dump(mode="json")))
    return digest


def _difference(root: Path, base: str) -> bytes:
    """Return the output of `git diff --binary`, untracked files included. Neither index nor objects change."""
    with tempfile.TemporaryDirectory() as scratch:
        objects = _git(root, "rev-parse", "--git-path", "objects").strip()
        alternates = [str((root / objects).resolve()), os.environ.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "")]
        aside = {
            "GIT_INDEX_FILE": str(Path(scratch, "index")),
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(filter(None, alternates)),
        }
        _git(root, "read-tree", "HEAD", env=aside)
        _git(root, "add", "--all", env=aside)
        return _run(root, "diff", "--cached", "--binary", "--no-color", "--no-ext-diff", base, env=aside)


def author(root: Path) -> str:
    """Return git's user; without git, the user of this machine."""
    name, mail = (_git(root, "config", key).strip() for key in ("user.name", "user.email"))
    return f"{name} <{mail}>" if name and mail else name or mail or getpass.getuser()


def _masked_argv(argv: Sequence[str], values: Sequence[str]) -> tuple[str, ...]:
    return tuple(mask_secrets(word, values) for word in argv)


def _git(root: Path, *argv: str, env: dict[str, str] | None = None) -> str:
    return _run(root, *argv, env=env).decode("utf-8", "replace")


def _run(root: Path, *argv: str, env: dict[str, str] | None = None) -> bytes:
    """Return the output of git; empty if it fails or is not installed."""
    command = ["git", "-C", str(root), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *argv]
    variables = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(env or {})}
    try:
        done = subprocess.run(command, env=variables, capture_output=True, check=False)
    except FileNotFoundError:
        return b""
    return done.stdout if done.returncode == 0 else b""
