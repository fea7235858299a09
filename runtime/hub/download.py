"""A file of a hub → a file here, in bounded memory; a killed or broken download goes on at the byte where it was.

Bytes go to `<name>.part`. The name is given only to what has the digest that the hub tells of it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Damaged
from runtime.hub.remote import Busy, Patience, bare, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.hub.remote import Hub, RemoteFile

CHUNK = 1 << 20
"""Bytes held in memory."""
TRIES = 2
"""Whole downloads of a file whose digest is wrong, before the hub's copy is taken to be damaged."""


def download(
    hub: Hub, repository: str, revision: str, file: RemoteFile, to: Path, tell: Callable[[int], None]
) -> None:
    """`file` at `to`, verified; nothing is asked if it is there. `tell` is given bytes as they come.

    Raises `Unreachable` if the hub is, `Damaged` if what it sends is not what it lists.
    """
    if to.is_file():
        tell(file.size)
        return
    part = to.with_name(f"{to.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        _bring(hub, hub.url(repository, revision, file.path), file, part, tell)
        if _right(part, file):
            with part.open("rb") as whole:
                os.fsync(whole.fileno())
            part.replace(to)
            return
        part.unlink()
    raise Damaged(
        f"{repository}@{revision}: what the hub sends for {file.path} has another digest than it lists",
        hint="another hub or `--from DIR` may have a good copy",
    )


def _bring(hub: Hub, url: str, file: RemoteFile, part: Path, tell: Callable[[int], None]) -> None:
    """All bytes of `file` in `part`. Progress buys new tries: a long file over a bad line comes in many pieces."""
    part.touch()
    if part.stat().st_size > file.size:
        part.unlink()
        part.touch()
    tell(part.stat().st_size)
    patience, most = _patience(file), 0
    while (have := part.stat().st_size) < file.size:
        if have > most:
            patience, most = _patience(file), have
        try:
            _go_on(hub, url, file, part, tell)
        except Busy as busy:
            patience.wait(busy)


def _patience(file: RemoteFile) -> Patience:
    return Patience(f"run it again: it goes on where it was in {file.path}")


def _go_on(hub: Hub, url: str, file: RemoteFile, part: Path, tell: Callable[[int], None]) -> None:
    """Append what is missing, by one request. Raises `Busy` if it ends before all is there."""
    have = part.stat().st_size
    headers = hub.headers() | ({"Range": f"bytes={have}-"} if have else {})
    with opened(url, headers, file.path, hub.token) as answer, part.open("r+b", buffering=0) as out:
        if have and not _continues(answer, have):
            tell(-have)  # it sends the whole from the start
            have = 0
        out.seek(have)
        out.truncate()
        try:
            while have < file.size and (data := answer.read1(min(CHUNK, file.size - have))):
                out.write(data)
                have += len(data)
                tell(len(data))
        except (OSError, http.client.HTTPException) as error:
            raise Busy(f"{bare(url)}: {error}") from error
    if have < file.size:
        raise Busy(f"{bare(url)} ended after {have:,} of {file.size:,} bytes")


def _continues(answer: Any, have: int) -> bool:
    """Whether an answer is the rest that was asked for (RFC 9110, 14.4)."""
    said: str = answer.headers.get("Content-Range", "")
    return answer.status == 206 and said.startswith(f"bytes {have}-")


def _right(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    hasher = (
        hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    )
    with path.open("rb") as content:
        while data := content.read(CHUNK):
            hasher.update(data)
    return hasher.hexdigest() == (file.sha256 or file.blob)
