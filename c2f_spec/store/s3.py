"""The store in a bucket of S3 or of a compatible server (MinIO, Ceph, OSS, COS, SeaweedFS).

The client is obstore, in threads: on one machine it moves small files two to four times as fast as s3fs and holds a
tenth of the memory (`python -m tests.bench store`); its asynchronous half aborts some interpreters at their end, so it
is not used. Any tool reads the same objects: `s3fs`, `aws s3`, `rclone`.

No client's checksums are trusted: fetched bytes are compared with their own digest here, written ones are signed with
their SHA-256 by the client. Conditional writes keep writers apart. A probe detects a server that ignores them, once per
server and bucket; there a writer claims a name first (`create_by_claim`), and the oldest claim wins.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from c2f_spec.errors import Unreachable
from c2f_spec.store import transfer
from c2f_spec.store.digest import digest_folder, read_sealed, seal
from c2f_spec.store.protocol import ObjectInfo, check_name
from c2f_spec.store.s3_requests import client_settings, server_name, with_retries
from c2f_spec.store.shards import assign_shards, objects_to_upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import FileEntry
    from c2f_spec.store.protocol import ObjectStore


LISTING_DELAY = 2.0
"""Seconds to wait for other claims; times in listings are whole seconds."""
CLAIM_SECONDS = 60.0
"""Seconds after which a claim expires if its writer wrote nothing."""


def create_by_claim(store: ObjectStore, name: str, data: bytes) -> bool:
    """Create an object as `ObjectStore.create` does, in a `store` without conditional writes."""
    stored = store.read(name)
    if stored is not None:
        return stored == data
    started, mine = time.monotonic(), f"claims/{name}/{uuid.uuid4().hex}"
    store.replace(mine, b"")
    try:
        time.sleep(LISTING_DELAY)
        claims = {item.name: item.modified for item in store.listing(f"claims/{name}")}
        since = claims.get(mine)
        if since is None:
            raise Unreachable(
                f"the store {store.url} does not list what was just written",
                hint="use a server with conditional writes: two writers cannot be kept apart on this one",
            )
        live = [(time_, claim) for claim, time_ in claims.items() if time_ > since - CLAIM_SECONDS]
        while not store.exists(name):
            if min(live)[1] == mine and time.monotonic() - started < CLAIM_SECONDS / 2:
                store.replace(name, data)
            elif time.monotonic() - started > CLAIM_SECONDS:
                raise Unreachable(
                    f"another writer claimed `{name}` in the store {store.url} and wrote nothing",
                    hint="try again: its claim has expired",
                )
            else:
                time.sleep(LISTING_DELAY / 4)
        return store.read(name) == data
    finally:
        store.delete(mine)


READBACKS = 3
"""Reads of the stored object before bytes that differ count as written by another process."""
PAGE = 1000
"""Objects in one page of a listing, the maximum of S3."""


class BucketStore:
    """`c2f_spec.store.protocol.ObjectStore` over a bucket and a prefix in it."""

    def __init__(self, url: str) -> None:
        """`url` is `s3://bucket/prefix`. Raises `Unreachable` if it is not, or what `client_settings` raises."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        if not bucket:
            raise Unreachable(f"the store `{url}` names no bucket", hint="write s3://bucket/prefix")
        if prefix:
            check_name(prefix)
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.bucket, self.prefix = bucket, prefix

    @cached_property
    def client(self) -> Any:
        """Retries of requests are ours (`again`), which knows what a lost answer to a conditional write means."""
        return _client(self.bucket, self.prefix, {"max_retries": 0})

    @cached_property
    def direct(self) -> bool:
        """True if large objects are read from the server itself, and not through a proxy."""
        import obstore

        return transfer.is_direct(obstore.sign(self.client, "GET", "x", transfer.SIGNED_FOR))

    @cached_property
    def bulk(self) -> Any:
        """Obstore's client for uploads in parts, which it retries one by one."""
        return _client(self.bucket, self.prefix, transfer.part_retries())

    def read(self, name: str) -> bytes | None:
        import obstore

        def get() -> bytes:
            return bytes(obstore.get(self.client, check_name(name)).bytes())

        try:
            return with_retries(get, "read", name, self.url)
        except FileNotFoundError:
            return None

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        names = list(names)
        found = zip(names, transfer.map_parallel(self.read, names), strict=True)
        return {name: data for name, data in found if data is not None}

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return transfer.read_range(self, name, start, length)

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        import obstore

        try:
            return int(
                with_retries(
                    lambda: obstore.head(self.client, check_name(name))["size"], "find", name, self.url
                )
            )
        except FileNotFoundError:
            return None

    def create(self, name: str, data: bytes) -> bool:
        if not self.conditional:
            return create_by_claim(self, name, data)
        return self._put_if(name, data, "create")

    def create_many(self, objects: Mapping[str, bytes]) -> None:
        transfer.map_parallel(lambda item: self.create(*item), list(objects.items()))

    def replace(self, name: str, data: bytes) -> None:
        import obstore

        with_retries(lambda: obstore.put(self.client, check_name(name), data), "write", name, self.url)

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        import obstore

        def get() -> tuple[bytes, str]:
            result = obstore.get(self.client, check_name(name))
            return bytes(result.bytes()), str(result.meta["e_tag"])

        try:
            return with_retries(get, "read", name, self.url)
        except FileNotFoundError:
            return None

    def swap(self, name: str, data: bytes, version: str | None) -> bool:
        if version is None:
            return self.create(name, data)
        if self.conditional:
            return self._put_if(name, data, {"e_tag": version})
        # Without conditional writes a race of two requests remains; leases only save work.
        before = self.read_version(name)
        if before is None or before[1] != version:
            return False
        self.replace(name, data)
        return self.read(name) == data

    def names(self, prefix: str) -> Iterator[str]:
        return (item.name for item in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[ObjectInfo]:
        after: str | None = None
        while True:
            page = self._page(prefix, after)
            yield from (ObjectInfo(m["path"], m["size"], m["last_modified"].timestamp()) for m in page)
            if len(page) < PAGE:
                return
            after = page[-1]["path"]

    def _page(self, prefix: str, after: str | None) -> list[Any]:
        """Return the page that follows `after`: one request each, so that a lost page is requested again."""
        import obstore

        def get() -> list[Any]:
            pages = obstore.list(self.client, prefix or None, offset=after, chunk_size=PAGE)
            return list(next(iter(pages), []))

        return with_retries(get, "list", prefix, self.url)

    def put_file(self, path: Path, name: str) -> None:
        transfer.upload(self, path, name)

    def get_file(self, name: str, path: Path, entry: FileEntry) -> None:
        transfer.download(self, name, path, entry)

    def put_folder(
        self, folder: Path, name: str, files: Mapping[str, FileEntry] | None = None
    ) -> dict[str, FileEntry]:
        layout = assign_shards(files if files is not None else digest_folder(folder))
        transfer.upload_all(self, objects_to_upload(folder, layout), name)
        return layout

    def delete(self, name: str) -> None:
        import obstore

        try:
            with_retries(lambda: obstore.delete(self.client, check_name(name)), "remove", name, self.url)
        except FileNotFoundError:
            return

    def local(self, name: str) -> Path | None:
        del name
        return None

    @cached_property
    def conditional(self) -> bool:
        """True if the server has conditional writes; probed once and stored for this server and bucket."""
        server = hashlib.sha256(server_name(self.bucket).encode()).hexdigest()[:16]
        name = f"capabilities/{server}.json"
        known = read_sealed(self, name, "remove it: the server will be probed again")
        if known is None:
            probe = f"capabilities/probe-{uuid.uuid4().hex}"
            first, second = (self._put_if(probe, word, "create") for word in (b"first", b"second"))
            third = self._put_if(probe, b"third", {"e_tag": '"00000000000000000000000000000000"'})
            self.delete(probe)
            known = {"conditional": first and not second and not third}
            self.replace(name, seal(known))
        return bool(known["conditional"])

    def _put_if(self, name: str, data: bytes, mode: Any) -> bool:
        """Send a conditional PUT; return whether `data` is stored. After a refusal read back: an earlier try may have won."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with_retries(
                lambda: obstore.put(self.client, check_name(name), data, mode=mode), "write", name, self.url
            )
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            # More than one read: a bit may flip in transfer.
            return any(self.read(name) == data for _ in range(READBACKS))
        return True


def _client(bucket: str, prefix: str, retries: dict[str, Any]) -> Any:
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise Unreachable(
            "object storage needs the package `obstore`", hint="pip install 'c2f-spec[s3]'"
        ) from error
    settings: dict[str, Any] = dict(zip(("config", "client_options"), client_settings(bucket), strict=True))
    return S3Store(bucket, prefix=prefix or None, retry_config=cast("Any", retries), **settings)
