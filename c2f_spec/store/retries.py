"""What an error of object storage means, and how long to try again.

Every request is tried until it is answered, with random waits that grow, for at most `DEADLINE` seconds: a storage
that is down longer than that is somebody's to look at, and the stage's next attempt goes on from what is stored.
"""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, TypeVar

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEADLINE = 240.0
"""Seconds from the first try of a request to its last."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w+)</Code>")
AGAIN_4XX = {"408", "409", "425", "429"}
AGAIN_CODES = {
    "RequestTimeout",  # a body that came too slowly, told as 400
    "BadDigest",  # the body was damaged on its way
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "InvalidDigest",
    "IncompleteBody",
    "SlowDown",
}
FULL_CODES = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded"}
HINTS = {
    "403": "check the credentials (AWS_ACCESS_KEY_ID and its secret, or AWS_PROFILE) and what they may do here",
    "401": "check the credentials (AWS_ACCESS_KEY_ID and its secret, or AWS_PROFILE)",
    "404": "check the name of the bucket and the endpoint (AWS_ENDPOINT_URL_S3)",
    "507": "the storage is full: `c2f-spec gc` lists what may go, or ask for more room",
}
SKEW = "the clock of this machine and the storage's differ: set the clock"


def again(act: Callable[[], T], verb: str, name: str, url: str, *, deadline: float = DEADLINE) -> T:
    """`act()`, tried again while its error may pass. Raises `Unreachable`, or what `act` raises for "it is not there"
    and "it was there": `FileNotFoundError`, obstore's `AlreadyExistsError` and `PreconditionError`.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    started, wait = time.monotonic(), FIRST_WAIT
    while True:
        try:
            return act()
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise _refused(error, verb, name, url) from error
            raise
        except BaseError as error:
            left = deadline - (time.monotonic() - started)
            if not _may_pass(str(error)) or left < wait:
                raise _refused(error, verb, name, url) from error
        time.sleep(random.uniform(wait / 2, wait))  # noqa: S311  spreads clients, guards nothing
        wait = min(2 * wait, LONGEST_WAIT)


def _may_pass(text: str) -> bool:
    status, code = _told(text)
    if code in AGAIN_CODES:
        return True
    if code in FULL_CODES or status == "507":
        return False
    return not status.startswith("4") or status in AGAIN_4XX


def _told(text: str) -> tuple[str, str]:
    """HTTP status and S3's own code, each empty if the error has none."""
    status, code = STATUS.search(text), CODE.search(text)
    return status[1] if status else "", code[1] if code else ""


def _refused(error: Exception, verb: str, name: str, url: str) -> Unreachable:
    """In our words: a client's message may hold more of a request than should be shown."""
    status, code = _told(str(error))
    reason = " ".join(filter(None, [status, code])) or "no answer"
    hint = HINTS.get(
        "507" if code in FULL_CODES else status, "check the endpoint (AWS_ENDPOINT_URL_S3) and the network"
    )
    if code == "RequestTimeTooSkewed":
        hint = SKEW
    return Unreachable(f"cannot {verb} `{name}` in the store {url}: {reason}", hint=hint)
