"""Upload to and download from a bucket, in parallel and in bounded memory.

Large files go up in parts of 8 MB, eight at a time, and come down in streams of 64 MB, four at a time; small ones go
twelve at a time. A download is written to `.part`, its finished ranges noted beside it, so that a killed one
resumes; it gets its name only after its digest was verified. Each client lets some flipped bits, mixed reads or short files
pass, so nothing else counts as a check.
"""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from blake3 import blake3

from c2f_spec.errors import Damaged
from c2f_spec.spec.handoff import FileEntry
from c2f_spec.store.digest import digest_file
from c2f_spec.store.protocol import check_name
from c2f_spec.store.s3_requests import client_settings, with_retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from c2f_spec.store.shards import UploadObject


T = TypeVar("T")
R = TypeVar("R")

PART = 8 << 20
"""Bytes of one upload request, and of the memory that it takes."""
PARTS_AT_ONCE = 8
RANGE, RANGES_AT_ONCE, CHUNK = 64 << 20, 4, 1 << 20
"""Bytes of one download request, which is written in chunks: faster than more and shorter requests, in less memory."""
AT_ONCE = 12
"""Small objects in parallel; more gains nothing on loopback and little at 10 ms (`python -m tests.bench store`)."""
WITHOUT_RANGES = "non-partial response"
"""Part of obstore's message for a server that answers a range with the whole object (rclone)."""
TRIES = 4
"""Downloads of a file whose digest is wrong, before the stored object counts as damaged."""

BUFFER = 1 << 20
SILENCE_SECONDS, RANGE_SECONDS = 12.0, 180.0
"""Limits in seconds without a byte, and for one range."""
SIGNED_FOR = timedelta(minutes=10)
MAX_ERROR_BODY = 2000
"""Bytes that are read of an error's body, for S3's code."""
PARTIAL, WHOLE, MISSING = 206, 200, 404


class Bucket(Protocol):
    """The part of a `BucketStore` that transfers need: obstore's clients and the address."""

    url: str
    bucket: str

    @property
    def client(self) -> Any:
        """Obstore's client for single requests."""

    @property
    def bulk(self) -> Any:
        """Obstore's client for uploads in parts, which it retries one by one."""

    @property
    def direct(self) -> bool:
        """True if large objects are read from the server itself, and not through a proxy."""

    def read(self, name: str) -> bytes | None: ...


class NoRanges(Exception):
    """The server answers a range request with the whole object."""


def is_direct(url: str) -> bool:
    """Return whether requests to `url` go without a proxy."""
    parts = urlsplit(url)
    return parts.scheme not in getproxies() or bool(proxy_bypass(parts.hostname or ""))


def stream_range(bucket: Bucket, name: str, descriptor: int, start: int, length: int) -> None:
    """Download a range of an object to the same place of an open file.

    Raises `FileNotFoundError`, `NoRanges`, and obstore's `GenericError` for transient errors.
    """
    import obstore
    from obstore.exceptions import GenericError

    url = urlsplit(obstore.sign(bucket.client, "GET", check_name(name), SIGNED_FOR))
    headers = {"Range": f"bytes={start}-{start + length - 1}"}
    try:
        with closing(_connection(url, bucket.bucket)) as connection:
            connection.request("GET", f"{url.path}?{url.query}", headers=headers)
            with connection.getresponse() as answer:
                _check_partial(answer)
                _copy(answer, descriptor, start, length)
    except FileNotFoundError:
        raise
    except (http.client.HTTPException, OSError) as error:
        # Its message may hold the signed address.
        raise GenericError(f"the connection failed: {type(error).__name__}") from None


def _check_partial(answer: http.client.HTTPResponse) -> None:
    """Raise unless the answer is the requested range."""
    from obstore.exceptions import GenericError

    if answer.status == WHOLE:
        raise NoRanges
    if answer.status != PARTIAL:
        body = answer.read(MAX_ERROR_BODY).decode(errors="replace")
        if answer.status == MISSING:
            raise FileNotFoundError(body)
        raise GenericError(f"status code: {answer.status} {body}")


def _copy(answer: http.client.HTTPResponse, descriptor: int, start: int, length: int) -> None:
    buffer, at, until = memoryview(bytearray(min(BUFFER, length))), start, time.monotonic() + RANGE_SECONDS
    while at < start + length:
        count = answer.readinto(buffer[: start + length - at])
        if not count:
            raise http.client.IncompleteRead(b"", start + length - at)
        if time.monotonic() > until:
            raise TimeoutError
        written = 0
        while written < count:
            written += os.pwrite(descriptor, buffer[written:count], at + written)
        at += count


def _connection(url: SplitResult, bucket: str) -> http.client.HTTPConnection:
    assert url.hostname
    if url.scheme == "http":
        return http.client.HTTPConnection(url.hostname, url.port, timeout=SILENCE_SECONDS)
    trusted = ssl.create_default_context()
    if bundle := client_settings(bucket)[1].get("root_certificate"):
        trusted.load_verify_locations(cadata=bundle.decode())
    return http.client.HTTPSConnection(url.hostname, url.port, timeout=SILENCE_SECONDS, context=trusted)


def part_retries() -> dict[str, Any]:
    """Return obstore's settings for retries of the parts of an upload."""
    backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5)}
    return {"max_retries": 8, "retry_timeout": timedelta(seconds=100), "backoff": backoff}


def map_parallel(act: Callable[[T], R], items: Sequence[T], *, at_once: int = AT_ONCE) -> list[R]:
    """Return `act` of each item, in order, run in threads. After the first error no further item is started."""
    return [act(item) for item in items] if len(items) < 2 else list(imap_parallel(act, items, at_once))


def imap_parallel(act: Callable[[T], R], items: Sequence[T], at_once: int) -> Iterator[R]:
    """Yield `act` of each item in order, while later items go on in threads."""
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield from pool.map(act, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def upload(bucket: Bucket, path: Path, name: str) -> None:
    """Upload one file, streamed."""
    _put(bucket, name, path.stat().st_size, lambda: path)


def upload_all(bucket: Bucket, items: Iterable[UploadObject], prefix: str) -> None:
    """Upload objects below `prefix`: large ones one after another, each in parts; small ones in parallel."""
    small = []
    for item in items:
        if item.size > PART:
            _put(bucket, f"{prefix}/{item.name}", item.size, _source(item))
        else:
            small.append(item)
    map_parallel(lambda item: _put(bucket, f"{prefix}/{item.name}", item.size, _source(item)), small)


def download(bucket: Bucket, name: str, path: Path, entry: FileEntry) -> None:
    """Download `name` to `path` and verify it. One caller at a time for a path. Raises `Damaged` naming the object."""
    part = path.with_name(f"{path.name}.part")
    problem = ""
    for _ in range(TRIES):
        try:
            found = _fetch(bucket, name, part, entry.size)
        except FileNotFoundError:
            problem = "is missing"
            break
        if found.same_content(entry):
            part.replace(path)
            return
        part.unlink()
        problem = "was changed"
    part.unlink(missing_ok=True)
    raise Damaged(
        f"{bucket.url}/{name} {problem} since it was committed", hint="its record names another digest"
    )


def read_range(bucket: Bucket, name: str, start: int, length: int) -> bytes:
    """Return a range of an object. Raises `FileNotFoundError`, or `Damaged` if the object is shorter."""
    import obstore

    if not length:
        return b""

    def get() -> bytes:
        try:
            return bytes(obstore.get_range(bucket.client, check_name(name), start=start, length=length))
        except obstore.exceptions.GenericError as error:
            if WITHOUT_RANGES not in str(error):
                raise
            return _range_of_whole(obstore.get(bucket.client, check_name(name)), start, length)

    data = with_retries(get, "read", name, bucket.url)
    if len(data) != length:
        raise Damaged(f"{bucket.url}/{name} was changed: it is shorter than recorded")
    return data


def _range_of_whole(answer: Iterable[Any], start: int, length: int) -> bytes:
    """Return the range out of the whole object, for a server without range requests: slow, and correct."""
    found, at = bytearray(), 0
    for chunk in answer:
        data = memoryview(chunk)[max(0, start - at) :]
        found += data[: length - len(found)]
        at += len(chunk)
        if len(found) == length:
            break
    return bytes(found)


def _fetch(bucket: Bucket, name: str, part: Path, size: int) -> FileEntry:
    """Download `name` into `part`, resuming what a killed process left; return size and digest of the bytes."""
    if size <= PART:
        data = _whole(bucket, name)
        part.write_bytes(data)
        return FileEntry(size=len(data), blake3=blake3(data).hexdigest())
    journal = part.with_name(f"{part.name}.parts")
    done = _finished_ranges(part, journal, size)
    lock, starts = threading.Lock(), range(0, size, RANGE)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.truncate(descriptor, size)
        with journal.open("a") as note:

            def fetch(start: int) -> int:
                if start not in done:
                    _fetch_range(bucket, name, descriptor, start, min(RANGE, size - start))
                    with lock:
                        note.write(f"{start}\n")
                        note.flush()
                return start

            map_parallel(fetch, starts, at_once=RANGES_AT_ONCE)
    finally:
        os.close(descriptor)
    journal.unlink()
    return digest_file(part)


def _fetch_range(bucket: Bucket, name: str, descriptor: int, start: int, length: int) -> None:
    """Download one range into its place of an open file."""

    def get() -> None:
        try:
            if bucket.direct:
                stream_range(bucket, name, descriptor, start, length)
            else:
                _by_client(bucket, name, descriptor, start, length)
        except NoRanges:
            os.pwrite(descriptor, read_range(bucket, name, start, length), start)

    with_retries(get, "read", name, bucket.url)


def _by_client(bucket: Bucket, name: str, descriptor: int, start: int, length: int) -> None:
    import obstore

    at = start
    try:
        answer = obstore.get(bucket.client, check_name(name), options={"range": (start, start + length)})
        for chunk in answer.stream(min_chunk_size=CHUNK):
            os.pwrite(descriptor, chunk, at)
            at += len(chunk)
    except obstore.exceptions.GenericError as error:
        if WITHOUT_RANGES in str(error):
            raise NoRanges from error
        raise


def _finished_ranges(part: Path, journal: Path, size: int) -> set[int]:
    """Return the starts of finished ranges; none if the two files do not belong together."""
    if part.is_file() and journal.is_file() and part.stat().st_size == size:
        return {int(line) for line in journal.read_text().split("\n")[:-1]}
    journal.unlink(missing_ok=True)
    return set()


def _whole(bucket: Bucket, name: str) -> bytes:
    data = bucket.read(name)
    if data is None:
        raise FileNotFoundError(name)
    return data


def _source(item: UploadObject) -> Callable[[], Any]:
    if item.shard:
        return item.chunks
    if item.size > PART:
        return lambda: item.parts[0][1]
    return item.parts[0][1].read_bytes


def _put(bucket: Bucket, name: str, size: int, source: Callable[[], Any]) -> None:
    """Upload one object; `source` returns its bytes anew for each try, as a path, bytes or an iterator of bytes."""
    import obstore

    def put() -> None:
        obstore.put(
            bucket.bulk,
            check_name(name),
            source(),
            use_multipart=size > PART,
            chunk_size=PART,
            max_concurrency=PARTS_AT_ONCE,
        )

    with_retries(put, "write", name, bucket.url)
