"""Open a store by its address. A module above both kinds of store, so that neither imports the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore


def open_store(url: str) -> ObjectStore:
    """Return the store at `url`: a folder's path, `file://…` or `s3://bucket/prefix`.

    Raises `Unreachable` if the scheme is not supported, or if the address holds credentials or options.
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
        f"the store `{url}` has the scheme `{scheme}`, which is not supported",
        hint="name a folder, or `s3://bucket/prefix` for S3, MinIO, Ceph, OSS, COS and whatever else speaks S3",
    )
