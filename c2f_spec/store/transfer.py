"""Bytes to and from a bucket, side by side and in bounded memory.

Large files go up in parts of 8 MB, eight at a time, and come down in streams of 64 MB, four at a time; small ones go
twelve at a time. A download is written to `.part`, its finished ranges noted beside it, so that a killed one goes on
where it was; it gets its name only after its digest was found right. Each client lets some flipped bits, mixed reads or
short files pass, so nothing else counts as right.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from blake3 import blake3

from c2f_spec.errors import Damaged
from c2f_spec.spec.handoff import FileEntry
from c2f_spec.store import stream
from c2f_spec.store.digest import digest_file
from c2f_spec.store.objects import check_name
from c2f_spec.store.retries import again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from c2f_spec.store.s3 import S3Objects
    from c2f_spec.store.shards import Stored

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


def side_by_side(act: Callable[[T], R], items: Sequence[T], *, at_once: int = AT_ONCE) -> list[R]:
    """`act` of each, in order. The first error ends it: what has not started is not started."""
    return [act(item) for item in items] if len(items) < 2 else list(in_order(act, items, at_once))


def in_order(act: Callable[[T], R], items: Sequence[T], at_once: int) -> Iterator[R]:
    """`act` of each, handed out in order as they end, while those that follow go on."""
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield from pool.map(act, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def upload(objects: S3Objects, path: Path, name: str) -> None:
    """One file, streamed."""
    _put(objects, name, path.stat().st_size, lambda: path)


def upload_all(objects: S3Objects, items: Iterable[Stored], prefix: str) -> None:
    """Everything below `prefix`: large objects one after another, each in parts; small ones side by side."""
    small = []
    for item in items:
        if item.size > PART:
            _put(objects, f"{prefix}/{item.name}", item.size, _source(item))
        else:
            small.append(item)
    side_by_side(lambda item: _put(objects, f"{prefix}/{item.name}", item.size, _source(item)), small)


def download(objects: S3Objects, name: str, path: Path, entry: FileEntry) -> None:
    """`name` at `path`, verified. One caller at a time for a path. Raises `Damaged` naming it."""
    part = path.with_name(f"{path.name}.part")
    problem = ""
    for _ in range(TRIES):
        try:
            found = _fetch(objects, name, part, entry.size)
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
        f"{objects.url}/{name} {problem} since it was committed", hint="its record names another digest"
    )


def read_range(objects: S3Objects, name: str, start: int, length: int) -> bytes:
    """Raises `FileNotFoundError`, or `Damaged` if the object is shorter."""
    import obstore

    if not length:
        return b""

    def get() -> bytes:
        try:
            return bytes(obstore.get_range(objects.client, check_name(name), start=start, length=length))
        except obstore.exceptions.GenericError as error:
            if WITHOUT_RANGES not in str(error):
                raise
            return _cut(obstore.get(objects.client, check_name(name)), start, length)

    data = again(get, "read", name, objects.url)
    if len(data) != length:
        raise Damaged(f"{objects.url}/{name} was changed: it is shorter than recorded")
    return data


def _cut(answer: Iterable[Any], start: int, length: int) -> bytes:
    """The range out of the whole, for a server that sends no parts: slow, and right."""
    found, at = bytearray(), 0
    for chunk in answer:
        data = memoryview(chunk)[max(0, start - at) :]
        found += data[: length - len(found)]
        at += len(chunk)
        if len(found) == length:
            break
    return bytes(found)


def _fetch(objects: S3Objects, name: str, part: Path, size: int) -> FileEntry:
    """All bytes of `name` into `part`, of which some may be there from a killed try; what they are."""
    if size <= PART:
        data = _whole(objects, name)
        part.write_bytes(data)
        return FileEntry(size=len(data), blake3=blake3(data).hexdigest())
    journal = part.with_name(f"{part.name}.parts")
    done = _done(part, journal, size)
    lock, starts = threading.Lock(), range(0, size, RANGE)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.truncate(descriptor, size)
        with journal.open("a") as note:

            def fetch(start: int) -> int:
                if start not in done:
                    _fetch_range(objects, name, descriptor, start, min(RANGE, size - start))
                    with lock:
                        note.write(f"{start}\n")
                        note.flush()
                return start

            side_by_side(fetch, starts, at_once=RANGES_AT_ONCE)
    finally:
        os.close(descriptor)
    journal.unlink()
    return digest_file(part)


def _fetch_range(objects: S3Objects, name: str, descriptor: int, start: int, length: int) -> None:
    """Bytes as they come, into their place of a file."""

    def get() -> None:
        try:
            if objects.direct:
                stream.into(objects, name, descriptor, start, length)
            else:
                _by_client(objects, name, descriptor, start, length)
        except stream.NoRanges:
            os.pwrite(descriptor, read_range(objects, name, start, length), start)

    again(get, "read", name, objects.url)


def _by_client(objects: S3Objects, name: str, descriptor: int, start: int, length: int) -> None:
    import obstore

    at = start
    try:
        answer = obstore.get(objects.client, check_name(name), options={"range": (start, start + length)})
        for chunk in answer.stream(min_chunk_size=CHUNK):
            os.pwrite(descriptor, chunk, at)
            at += len(chunk)
    except obstore.exceptions.GenericError as error:
        if WITHOUT_RANGES in str(error):
            raise stream.NoRanges from error
        raise


def _done(part: Path, journal: Path, size: int) -> set[int]:
    """First bytes of the parts that are there; none if the two files do not belong together."""
    if part.is_file() and journal.is_file() and part.stat().st_size == size:
        return {int(line) for line in journal.read_text().split("\n")[:-1]}
    journal.unlink(missing_ok=True)
    return set()


def _whole(objects: S3Objects, name: str) -> bytes:
    data = objects.read(name)
    if data is None:
        raise FileNotFoundError(name)
    return data


def _source(item: Stored) -> Callable[[], Any]:
    if item.shard:
        return item.chunks
    if item.size > PART:
        return lambda: item.parts[0][1]
    return item.parts[0][1].read_bytes


def _put(objects: S3Objects, name: str, size: int, source: Callable[[], Any]) -> None:
    """`source` gives the bytes anew for each try: a path, bytes or an iterator of bytes."""
    import obstore

    def put() -> None:
        obstore.put(
            objects.bulk,
            check_name(name),
            source(),
            use_multipart=size > PART,
            chunk_size=PART,
            max_concurrency=PARTS_AT_ONCE,
        )

    again(put, "write", name, objects.url)
