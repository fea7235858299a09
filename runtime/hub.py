"""Download released weights from Hugging Face or ModelScope, for `python -m runtime model add`; no stage does.

Hugging Face, or a mirror of it in `HF_ENDPOINT` (https://huggingface.co/docs/hub/api):

    GET /api/models/<repository>/tree/<commit>?recursive=true    files; large ones with `lfs: {oid: <sha256>, size}`,
                                                                 small ones with git's digest as `oid`; pages by `Link`
    GET /<repository>/resolve/<commit>/<path>                    the file, or a redirect to storage that takes ranges

ModelScope, for machines that reach it and not Hugging Face, or another server in `MODELSCOPE_ENDPOINT`, with the requests of
its own client (https://github.com/modelscope/modelscope, modelscope/hub). Its commits are its own: a spec may name the
Hugging Face commit, and `--at` what ModelScope calls the same files; the pin in the lock file holds both to one copy.

    GET /api/v1/models/<repository>/repo/files?Revision=&Recursive=true    {"Code": 200, "Data": {"Files": [{"Path", "Type",
                                                                           "Size", "Sha256"}]}}, folders of type `tree`
    GET /api/v1/models/<repository>/repo?Revision=&FilePath=               the file, or a redirect; takes ranges

Files are downloaded in bounded memory. Bytes go to `<name>.part`, which is renamed only if it has the digest that the hub
lists; a killed or broken download continues at the byte where it was.
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
from urllib.parse import quote, urlencode

from c2f_spec.errors import C2fError, Damaged, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


TIMEOUT = 60.0
"""Seconds without a byte."""
PAUSES = (0.2, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each retry of a request that brought no byte."""
LONGEST_PAUSE = 120.0
"""Seconds of waiting that a hub may demand; more is an error."""
RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)
LARGEST_LIST = 64 << 20
"""Bytes of one page of a listing: repositories have tens of files."""


class RemoteFile(NamedTuple):
    """A file of a repository at a revision."""

    path: str
    size: int
    """Bytes."""
    sha256: str | None
    """Digest of its content, if the hub lists it."""
    blob: str | None = None
    """Otherwise git's digest: SHA-1 over `blob <size>`, a zero byte and the content."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub. `files` and `url` take repository and revision; `url` also a path."""

    agent: str
    token: str
    """Variable with the token, which is never an argument, because other users could see that."""
    files: Callable[[str, str], list[RemoteFile]]
    url: Callable[[str, str, str], str]

    def headers(self) -> dict[str, str]:
        """Return user agent and token."""
        token = os.environ.get(self.token)
        return {"User-Agent": self.agent, **({"Authorization": f"Bearer {token}"} if token else {})}


class TransientHubError(Exception):
    """A request that may be retried, after `seconds` if the server demands that."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects without the token: it is for the hub, not for the storage that the hub redirects to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is None:
            return None
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(new.full_url)
        if before.scheme == "https" and after.scheme != "https":
            raise urllib.error.URLError(f"{before.netloc} redirects to an address without encryption")
        if before.netloc != after.netloc:
            new.remove_header("Authorization")
        return new


OPENER = urllib.request.build_opener(_Redirects())


def open_url(hub: Hub, url: str, headers: Mapping[str, str], what: str) -> Any:
    """Return the answer to a GET for `what`. Raises `TransientHubError`, or `Unreachable` if a retry would not help."""
    headers = {"Accept-Encoding": "identity", **hub.headers(), **headers}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  ours
    try:
        return OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in RETRY_STATUS:
            raise TransientHubError(
                f"{without_query(url)} answers {error.code}", _seconds(error.headers)
            ) from error
        raise refusal(error.code, url, what, hub.token) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise TransientHubError(f"{urllib.parse.urlsplit(url).netloc}: {reason}") from error


def refusal(code: int, url: str, what: str, token: str) -> C2fError:
    if code in (401, 403):
        hint = f"accept its terms on its page, if it has any, and set {token} to your token"
        return Unreachable(f"{what}: permission denied by the hub ({code})", hint=hint)
    if code == 404:
        hint = "check the repository and `--revision`; a hub may call a commit by another name (`--at`)"
        return Unreachable(f"{what} was not found on the hub ({without_query(url)})", hint=hint)
    return Unreachable(f"{what}: the hub answers {code} ({without_query(url)})", hint="try again later")


def _seconds(headers: Any) -> float | None:
    """Return the seconds of `Retry-After`; `None` for a date."""
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None


class Backoff:
    """Pauses between the tries of a request."""

    def __init__(self, hint: str) -> None:
        self._hint, self._tries = hint, 0

    def wait(self, busy: TransientHubError) -> None:
        """Wait. Raises `Unreachable` after the last try, or if the hub demands too long a pause."""
        if self._tries == len(PAUSES):
            raise Unreachable(str(busy), hint=self._hint) from busy
        seconds = PAUSES[self._tries] if busy.seconds is None else busy.seconds
        if seconds > LONGEST_PAUSE:
            raise Unreachable(f"{busy}, and demands a pause of {seconds:.0f} s", hint=self._hint) from busy
        self._tries += 1
        time.sleep(seconds)


def get_page(hub: Hub, url: str, what: str) -> tuple[Any, str]:
    """Return a JSON answer and the address of its next page, empty if it is the last."""
    patience = Backoff("stage a copy that you have with `--from DIR`; behind a proxy, set https_proxy")
    while True:
        try:
            with open_url(hub, url, {}, what) as answer:
                data, link = answer.read(LARGEST_LIST), answer.headers.get("Link", "")
            return json.loads(data), _next(link)
        except TransientHubError as busy:
            patience.wait(busy)
        except (OSError, http.client.HTTPException, ValueError) as error:
            patience.wait(TransientHubError(f"{without_query(url)}: {error}"))


def without_query(url: str) -> str:
    """Return the URL for messages, without its query, which may be a signature."""
    return url.partition("?")[0]


def _next(link: str) -> str:
    """Return the next page of a `Link` header (RFC 8288), or an empty string."""
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
    hub: Hub, repository: str, revision: str, file: RemoteFile, to: Path, report: Callable[[int], None]
) -> None:
    """Download `file` to `to` and verify it; do nothing if it is there. `report` gets the bytes as they come.

    Raises `Unreachable` if the hub is unreachable, `Damaged` if what it sends is not what it lists.
    """
    if to.is_file():
        report(file.size)
        return
    part = to.with_name(f"{to.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        _download_part(hub, hub.url(repository, revision, file.path), file, part, report)
        if _digest_matches(part, file):
            with part.open("rb") as whole:
                os.fsync(whole.fileno())
            part.replace(to)
            return
        part.unlink()
    raise Damaged(
        f"{repository}@{revision}: what the hub sends for {file.path} has another digest than it lists",
        hint="try another hub, or `--from DIR` with a good copy",
    )


def _download_part(hub: Hub, url: str, file: RemoteFile, part: Path, report: Callable[[int], None]) -> None:
    """Download all bytes of `file` into `part`. Progress resets the retries: a long file over a bad line needs many."""
    part.touch()
    if part.stat().st_size > file.size:
        part.unlink()
        part.touch()
    report(part.stat().st_size)
    patience, most = _backoff(file), 0
    while (have := part.stat().st_size) < file.size:
        if have > most:
            patience, most = _backoff(file), have
        try:
            _append(hub, url, file, part, report)
        except TransientHubError as busy:
            patience.wait(busy)


def _backoff(file: RemoteFile) -> Backoff:
    return Backoff(f"run it again: it continues in {file.path} where it was")


def _append(hub: Hub, url: str, file: RemoteFile, part: Path, report: Callable[[int], None]) -> None:
    """Append what is missing, by one request. Raises `TransientHubError` if it ends early."""
    have = part.stat().st_size
    headers = {"Range": f"bytes={have}-"} if have else {}
    with open_url(hub, url, headers, file.path) as answer, part.open("r+b", buffering=0) as out:
        if have and not _continues(answer, have):
            report(-have)  # the hub sends the whole file
            have = 0
        out.seek(have)
        out.truncate()
        try:
            while have < file.size and (data := answer.read1(min(CHUNK, file.size - have))):
                out.write(data)
                have += len(data)
                report(len(data))
        except (OSError, http.client.HTTPException) as error:
            raise TransientHubError(f"{without_query(url)}: {error}") from error
    if have < file.size:
        raise TransientHubError(f"{without_query(url)} ended after {have:,} of {file.size:,} bytes")


def _continues(answer: Any, have: int) -> bool:
    """Return whether an answer is the requested rest of a file (RFC 9110, 14.4)."""
    content_range: str = answer.headers.get("Content-Range", "")
    return answer.status == 206 and content_range.startswith(f"bytes {have}-")


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


def _hf_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _hf_files(repository: str, revision: str) -> list[RemoteFile]:
    url = f"{_hf_endpoint()}/api/models/{quote(repository)}/tree/{quote(revision, safe='')}?recursive=true"
    what, files = f"{repository}@{revision}", []
    while url:
        page, url = get_page(HUBS["hf"], url, what)
        try:
            files += [_hf_file(entry) for entry in page if entry["type"] == "file"]
        except (KeyError, TypeError) as error:
            raise Unreachable(
                f"{what}: the hub's list of files is not as documented: missing {error}",
                hint="check that HF_ENDPOINT is a hub",
            ) from error
    return files


def _hf_file(entry: dict[str, object]) -> RemoteFile:
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        return RemoteFile(str(entry["path"]), int(lfs["size"]), str(lfs["oid"]).removeprefix("sha256:"))
    return RemoteFile(str(entry["path"]), int(str(entry["size"])), None, str(entry["oid"]))


def _hf_url(repository: str, revision: str, path: str) -> str:
    return f"{_hf_endpoint()}/{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(path)}"


def _modelscope_files(repository: str, revision: str) -> list[RemoteFile]:
    query = urlencode({"Revision": revision, "Recursive": "true"})
    what = f"{repository}@{revision}"
    page, _ = get_page(HUBS["modelscope"], f"{_modelscope_repository(repository)}/files?{query}", what)
    try:
        entries = [entry for entry in page["Data"]["Files"] if entry["Type"] == "blob"]
        files = [RemoteFile(entry["Path"], int(entry["Size"]), entry["Sha256"]) for entry in entries]
    except (KeyError, TypeError) as error:
        message = page.get("Message") if isinstance(page, dict) else None
        raise Unreachable(
            f"{what}: ModelScope lists no files: {message or f'missing {error}'}",
            hint="check the repository and `--revision`; `--at master` takes the newest",
        ) from error
    if not files:
        raise Unreachable(f"{what}: ModelScope lists no files", hint="check the repository and `--revision`")
    return files


def _modelscope_url(repository: str, revision: str, path: str) -> str:
    return f"{_modelscope_repository(repository)}?{urlencode({'Revision': revision, 'FilePath': path})}"


def _modelscope_repository(repository: str) -> str:
    endpoint = os.environ.get("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn").rstrip("/")
    return f"{endpoint}/api/v1/models/{quote(repository)}/repo"


HUBS: dict[str, Hub] = {
    "hf": Hub("c2f-spec", "HF_TOKEN", _hf_files, _hf_url),
    "modelscope": Hub("modelscope/1 c2f-spec", "MODELSCOPE_API_TOKEN", _modelscope_files, _modelscope_url),
}
