"""A range of a large object into its place of a file, by Python's own HTTP client and a signed address.

The bytes go from the socket into one buffer and from there into the file: half the processor time of a client that
hands out objects for them, which on one machine is what bounds the rate. Where a proxy is set, obstore goes its way.
"""

from __future__ import annotations

import http.client
import os
import ssl
import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from c2f_spec.store.account import account
from c2f_spec.store.objects import check_name

if TYPE_CHECKING:
    from c2f_spec.store.s3 import S3Objects

BUFFER = 1 << 20
SILENCE, LONGEST = 12.0, 180.0
"""Seconds without a byte, and for one range: a trickle is no answer."""
SIGNED_FOR = timedelta(minutes=10)
TOLD = 2000
"""Bytes of an error's body that may hold S3's code."""
PARTIAL, WHOLE, MISSING = 206, 200, 404


class NoRanges(Exception):
    """The server answers a range with the whole object."""


def direct(url: str) -> bool:
    """Whether the server is asked without a proxy."""
    parts = urlsplit(url)
    return parts.scheme not in getproxies() or bool(proxy_bypass(parts.hostname or ""))


def into(objects: S3Objects, name: str, descriptor: int, start: int, length: int) -> None:
    """Write the range to the same place of the file.

    Raises `FileNotFoundError`, `NoRanges`, and obstore's `GenericError` for what a retry may cure.
    """
    import obstore
    from obstore.exceptions import GenericError

    url = urlsplit(obstore.sign(objects.client, "GET", check_name(name), SIGNED_FOR))
    headers = {"Range": f"bytes={start}-{start + length - 1}"}
    try:
        with closing(_connection(url, objects.bucket)) as connection:
            connection.request("GET", f"{url.path}?{url.query}", headers=headers)
            with connection.getresponse() as answer:
                _refuse(answer)
                _copy(answer, descriptor, start, length)
    except FileNotFoundError:
        raise
    except (http.client.HTTPException, OSError) as error:
        # Its message may hold the signed address.
        raise GenericError(f"the connection failed: {type(error).__name__}") from None


def _refuse(answer: http.client.HTTPResponse) -> None:
    """Whatever is not the range."""
    from obstore.exceptions import GenericError

    if answer.status == WHOLE:
        raise NoRanges
    if answer.status != PARTIAL:
        told = answer.read(TOLD).decode(errors="replace")
        if answer.status == MISSING:
            raise FileNotFoundError(told)
        raise GenericError(f"status code: {answer.status} {told}")


def _copy(answer: http.client.HTTPResponse, descriptor: int, start: int, length: int) -> None:
    buffer, at, until = memoryview(bytearray(min(BUFFER, length))), start, time.monotonic() + LONGEST
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
        return http.client.HTTPConnection(url.hostname, url.port, timeout=SILENCE)
    trusted = ssl.create_default_context()
    if bundle := account(bucket)[1].get("root_certificate"):
        trusted.load_verify_locations(cadata=bundle.decode())
    return http.client.HTTPSConnection(url.hostname, url.port, timeout=SILENCE, context=trusted)
