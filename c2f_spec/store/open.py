"""What a store is: immutable objects under one root, in a folder of this machine or in a bucket of object storage.

An object is created whole or not at all, and never changed; `replace` and `swap` are for the advisory files that are
not objects in this sense (progress and lease). No folder's or prefix's existence means anything. Both kinds keep one
set of tests (tests/store/).

Names are relative paths with `/`. Every method raises `Unreachable` with the place when storage refuses, after the
retries that storage deserves; none waits without bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore


def open_store(url: str) -> ObjectStore:
    """The store at `url`: a folder's path, `file://…` or `s3://bucket/prefix`.

    Raises `Unreachable` if this version has no way there, or if the address carries more than an address.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "file", url
    elif "@" in rest.partition("/")[0] or "?" in rest:
        raise Unreachable(
            f"the address of a `{scheme}` store holds credentials or options",
            hint="an address is shown, logged and stored; credentials come from the environment or a profile",
        )
    if scheme in ("file", "local"):
        from c2f_spec.store.folder import FolderStore

        return FolderStore(rest)
    if scheme == "s3":
        from c2f_spec.store.s3 import BucketStore

        return BucketStore(url)
    raise Unreachable(
        f"the store `{url}` is on `{scheme}`, which this version cannot reach",
        hint="name a folder, or `s3://bucket/prefix` for S3, MinIO, Ceph, OSS, COS and whatever else speaks S3",
    )
