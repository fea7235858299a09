"""A file of a hub → a file here, in bounded memory; a killed or broken download goes on at the byte where it was.

Bytes go to `<name>.part`. The name is given only to what has the digest that the hub tells of it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import C2fError, Damaged, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


TIMEOUT = 60.0
"""Seconds without a byte."""
PAUSES = (0.2, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a request is made again, if not one byte more has come since."""
LONGEST_PAUSE = 120.0
"""Seconds that a hub may ask us to wait before we say that it does."""
RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)
LARGEST_LIST = 64 << 20
"""Bytes of one page of a listing: repositories have tens of files."""


class RemoteFile(NamedTuple):
    """A file of a repository at a revision."""

    path: str
    size: int
    """Bytes."""
    sha256: str | None
    """Of its content, if the hub tells it."""
    blob: str | None = None
    """Else git's digest: SHA-1 over `blob <size>`, a zero byte and the content."""


@dataclass(frozen=True, slots=True)
class Hub:
    """One place of downloads. `files` and `url` are given repository and revision; a path is relative to them."""

    name: str
    files: Callable[[str, str], list[RemoteFile]]
    url: Callable[[str, str, str], str]
    headers: Callable[[], dict[str, str]]
    """Who asks, and with which token; from the environment, never from an argument that others see."""
    token: str
    """The variable that holds it."""


class RetryableError(Exception):
    """A request that may be made again, in `seconds` if the server said so."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the hub that it is for, not to the storage that the hub sends us to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is None:
            return None
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(new.full_url)
        if before.scheme == "https" and after.scheme != "https":
            raise urllib.error.URLError(f"{before.netloc} sends us to an address without encryption")
        if before.netloc != after.netloc:
            new.remove_header("Authorization")
        return new


OPENER = urllib.request.build_opener(_Redirects())


def open_url(url: str, headers: Mapping[str, str], what: str, token: str) -> Any:
    """The answer to a GET. Raises `Busy`, or `Unreachable` where asking again is no use."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", **headers})  # noqa: S310  ours
    try:
        return OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in RETRY_STATUS:
            raise RetryableError(
                f"{without_query(url)} answers {error.code}", _seconds(error.headers)
            ) from error
        raise refusal(error.code, url, what, token) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise RetryableError(f"{urllib.parse.urlsplit(url).netloc}: {reason}") from error


def refusal(code: int, url: str, what: str, token: str) -> C2fError:
    if code in (401, 403):
        hint = f"if its terms must be accepted, do so on its page, and put a token of yours into {token}"
        return Unreachable(f"{what}: the hub refuses us ({code})", hint=hint)
    if code == 404:
        hint = "check the repository and `--revision`; a hub may call a commit by another name (`--at`)"
        return Unreachable(f"{what} is not on the hub ({without_query(url)})", hint=hint)
    return Unreachable(f"{what}: the hub answers {code} ({without_query(url)})", hint="try again later")


def _seconds(headers: Any) -> float | None:
    """What `Retry-After` says; a date is left to our own pauses."""
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None


class Backoff:
    """Waits before a request is made again."""

    def __init__(self, hint: str) -> None:
        self._hint, self._tries = hint, 0

    def wait(self, busy: RetryableError) -> None:
        """Raises `Unreachable` when there were enough tries, or if the hub wants too long a pause."""
        if self._tries == len(PAUSES):
            raise Unreachable(str(busy), hint=self._hint) from busy
        seconds = PAUSES[self._tries] if busy.seconds is None else busy.seconds
        if seconds > LONGEST_PAUSE:
            raise Unreachable(f"{busy}, and wants us to wait for {seconds:.0f} s", hint=self._hint) from busy
        self._tries += 1
        time.sleep(seconds)


def get_page(url: str, headers: Mapping[str, str], what: str, token: str) -> tuple[Any, str]:
    """A JSON answer and the address of its next page, or nothing."""
    patience = Backoff("`--from DIR` stages a copy that you have; behind a proxy, set https_proxy")
    while True:
        try:
            with open_url(url, headers, what, token) as answer:
                data, link = answer.read(LARGEST_LIST), answer.headers.get("Link", "")
            return json.loads(data), _next(link)
        except RetryableError as busy:
            patience.wait(busy)
        except (OSError, http.client.HTTPException, ValueError) as error:
            patience.wait(RetryableError(f"{without_query(url)}: {error}"))


def without_query(url: str) -> str:
    """For messages: what stands behind `?` may be a signature."""
    return url.partition("?")[0]


def _next(link: str) -> str:
    """Of a `Link` header (RFC 8288)."""
    for part in link.split(","):
        address, _, rest = part.partition(";")
        if 'rel="next"' in rest:
            return address.strip().strip("<>")
    return ""


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
        _download_part(hub, hub.url(repository, revision, file.path), file, part, tell)
        if _digest_matches(part, file):
            with part.open("rb") as whole:
                os.fsync(whole.fileno())
            part.replace(to)
            return
        part.unlink()
    raise Damaged(
        f"{repository}@{revision}: what the hub sends for {file.path} has another digest than it lists",
        hint="another hub or `--from DIR` may have a good copy",
    )


def _download_part(hub: Hub, url: str, file: RemoteFile, part: Path, tell: Callable[[int], None]) -> None:
    """All bytes of `file` in `part`. Progress buys new tries: a long file over a bad line comes in many pieces."""
    part.touch()
    if part.stat().st_size > file.size:
        part.unlink()
        part.touch()
    tell(part.stat().st_size)
    patience, most = _backoff(file), 0
    while (have := part.stat().st_size) < file.size:
        if have > most:
            patience, most = _backoff(file), have
        try:
            _append(hub, url, file, part, tell)
        except RetryableError as busy:
            patience.wait(busy)


def _backoff(file: RemoteFile) -> Backoff:
    return Backoff(f"run it again: it goes on where it was in {file.path}")


def _append(hub: Hub, url: str, file: RemoteFile, part: Path, tell: Callable[[int], None]) -> None:
    """Append what is missing, by one request. Raises `Busy` if it ends before all is there."""
    have = part.stat().st_size
    headers = hub.headers() | ({"Range": f"bytes={have}-"} if have else {})
    with open_url(url, headers, file.path, hub.token) as answer, part.open("r+b", buffering=0) as out:
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
            raise RetryableError(f"{without_query(url)}: {error}") from error
    if have < file.size:
        raise RetryableError(f"{without_query(url)} ended after {have:,} of {file.size:,} bytes")


def _continues(answer: Any, have: int) -> bool:
    """Whether an answer is the rest that was asked for (RFC 9110, 14.4)."""
    said: str = answer.headers.get("Content-Range", "")
    return answer.status == 206 and said.startswith(f"bytes {have}-")


def _digest_matches(path: Path, file: RemoteFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    hasher = (
        hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    )
    with path.open("rb") as content:
        while data := content.read(CHUNK):
            hasher.update(data)
    return hasher.hexdigest() == (file.sha256 or file.blob)
