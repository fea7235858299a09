"""Bytes to and from a bucket, side by side and in bounded memory.

Large files go up in parts of 8 MB, eight at a time, and come down in streams of 64 MB, four at a time; small ones go
twelve at a time. A download is written to `.part`, its finished ranges noted beside it, so that a killed one goes on
where it was; it gets its name only after its digest was found right. Each client lets some flipped bits, mixed reads or
short files pass, so nothing else counts as right.
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


BUFFER = 1 << 20
SILENCE_SECONDS, RANGE_SECONDS = 12.0, 180.0
"""Seconds without a byte, and for one range: a trickle is no answer."""
SIGNED_FOR = timedelta(minutes=10)
MAX_ERROR_BODY = 2000
"""Bytes of an error's body that may hold S3's code."""
PARTIAL, WHOLE, MISSING = 206, 200, 404


class Bucket(Protocol):
    """What moving bytes needs of a store in a bucket: obstore's clients, and where it is."""

    url: str
    bucket: str

    @property
    def client(self) -> Any:
        """Obstore's store for single requests."""

    @property
    def bulk(self) -> Any:
        """Obstore's store for uploads in parts, which it repeats one by one."""

    @property
    def direct(self) -> bool:
        """Whether large objects are read from the server itself, and not through a proxy."""

    def read(self, name: str) -> bytes | None: ...


class NoRanges(Exception):
    """The server answers a range with the whole object."""


def is_direct(url: str) -> bool:
    """Whether the server is asked without a proxy."""
    parts = urlsplit(url)
    return parts.scheme not in getproxies() or bool(proxy_bypass(parts.hostname or ""))


def stream_range(bucket: Bucket, name: str, descriptor: int, start: int, length: int) -> None:
    """Write the range to the same place of the file.

    Raises `FileNotFoundError`, `NoRanges`, and obstore's `GenericError` for what a retry may cure.
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
    """Whatever is not the range."""
    from obstore.exceptions import GenericError

    if answer.status == WHOLE:
        raise NoRanges
    if answer.status != PARTIAL:
        told = answer.read(MAX_ERROR_BODY).decode(errors="replace")
        if answer.status == MISSING:
            raise FileNotFoundError(told)
        raise GenericError(f"status code: {answer.status} {told}")


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


T = TypeVar("T")
R = TypeVar("R")

PART = 8 << 20
"""Bytes of one request up, and of what is held in memory at once."""
PARTS_AT_ONCE = 8
RANGE, RANGES_AT_ONCE, CHUNK = 64 << 20, 4, 1 << 20
"""Bytes of one request down, which come and are written in chunks: faster than more and shorter ones, in less memory."""
AT_ONCE = 12
"""Small objects at a time; more gains nothing on loopback and little at 10 ms (`python -m tests.bench store`)."""
WITHOUT_RANGES = "non-partial response"
"""What obstore says of a server that answers a range with the whole (rclone's, which otherwise serves)."""
TRIES = 4
"""Downloads of a file whose digest is wrong, before the stored one is taken to be damaged."""


def part_retries() -> dict[str, Any]:
    """Obstore's own retries, for the parts of an upload."""
    backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5)}
    return {"max_retries": 8, "retry_timeout": timedelta(seconds=100), "backoff": backoff}


def map_parallel(act: Callable[[T], R], items: Sequence[T], *, at_once: int = AT_ONCE) -> list[R]:
    """`act` of each, in order. The first error ends it: what has not started is not started."""
    return [act(item) for item in items] if len(items) < 2 else list(imap_parallel(act, items, at_once))


def imap_parallel(act: Callable[[T], R], items: Sequence[T], at_once: int) -> Iterator[R]:
    """`act` of each, handed out in order as they end, while those that follow go on."""
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield from pool.map(act, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def upload(bucket: Bucket, path: Path, name: str) -> None:
    """One file, streamed."""
    _put(bucket, name, path.stat().st_size, lambda: path)


def upload_all(bucket: Bucket, items: Iterable[UploadObject], prefix: str) -> None:
    """Everything below `prefix`: large objects one after another, each in parts; small ones side by side."""
    small = []
    for item in items:
        if item.size > PART:
            _put(bucket, f"{prefix}/{item.name}", item.size, _source(item))
        else:
            small.append(item)
    map_parallel(lambda item: _put(bucket, f"{prefix}/{item.name}", item.size, _source(item)), small)


def download(bucket: Bucket, name: str, path: Path, entry: FileEntry) -> None:
    """`name` at `path`, verified. One caller at a time for a path. Raises `Damaged` naming it."""
    part = path.with_name(f"{path.name}.part")
    problem = ""
    for _ in range(TRIES):
        try:
            found = _fetch(bucket, name, part, entry.size)
        except FileNotFoundError:
            problem = "is missing"
            break
        if found.same(entry):
            part.replace(path)
            return
        part.unlink()
        problem = "was changed"
    part.unlink(missing_ok=True)
    raise Damaged(
        f"{bucket.url}/{name} {problem} since it was committed", hint="its record names another digest"
    )


def read_range(bucket: Bucket, name: str, start: int, length: int) -> bytes:
    """Raises `FileNotFoundError`, or `Damaged` if the object is shorter."""
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
    """The range out of the whole, for a server that sends no parts: slow, and right."""
    found, at = bytearray(), 0
    for chunk in answer:
        data = memoryview(chunk)[max(0, start - at) :]
        found += data[: length - len(found)]
        at += len(chunk)
        if len(found) == length:
            break
    return bytes(found)


def _fetch(bucket: Bucket, name: str, part: Path, size: int) -> FileEntry:
    """All bytes of `name` into `part`, of which some may be there from a killed try; what they are."""
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
    """Bytes as they come, into their place of a file."""

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
    """First bytes of the parts that are there; none if the two files do not belong together."""
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
    """`source` gives the bytes anew for each try: a path, bytes or an iterator of bytes."""
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
