"""Credentials and address of a bucket, from the environment or a profile; retries of its requests.

AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL     the server, unless it is Amazon's
AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true     the bucket goes into the host's name (OSS, COS), not into the path
AWS_CA_BUNDLE                             certificates to trust besides the system's
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
AWS_PROFILE                               else a profile of ~/.aws/config and ~/.aws/credentials, `default` unless named

Without any of them the client uses the identity of the pod or the machine: a web identity token, a container's or an
instance's endpoint. Every request is retried with random waits that grow, for at most `DEADLINE` seconds: a person has to
look at a storage that is down for longer, and the stage's next attempt resumes from what is stored. The names are those of https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html.
"""

from __future__ import annotations

import configparser
import os
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable


SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
T = TypeVar("T")

CONNECT_TIMEOUT, SILENCE_TIMEOUT, REQUEST_TIMEOUT = "5s", "12s", "120s"
"""Limits to connect, without a byte, and for one request, which carries at most a part of a file."""


DEADLINE = 240.0
"""Seconds from the first try of a request to its last."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w+)</Code>")
RETRY_STATUSES = {"408", "409", "425", "429"}
RETRY_CODES = {
    "RequestTimeout",  # a body that came too slowly, with status 400
    "BadDigest",  # the body was damaged in transfer
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


def client_settings(bucket: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings of obstore's `S3Store` and of its HTTP client. Raises `Unreachable` if a named file cannot be read."""
    profile = _profile()
    endpoint = (
        os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or profile.get("endpoint_url")
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or profile.get("region")
    config: dict[str, Any] = {"region": region or "us-east-1"}
    if "AWS_CHECKSUM_ALGORITHM" not in os.environ:
        # The signature has the same digest, but SeaweedFS verifies a body only with this header.
        config["checksum_algorithm"] = "SHA256"
    if endpoint:
        config["endpoint"] = _endpoint(endpoint, bucket)
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        config |= {name: profile[name] for name in SECRETS if name in profile}
    client: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": SILENCE_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }
    bundle = os.environ.get("AWS_CA_BUNDLE") or profile.get("ca_bundle")
    if bundle:
        client["root_certificate"] = _read(Path(bundle))
    return config, client


def server_name(bucket: str) -> str:
    """Return a name of the server and bucket, for facts that hold for both together."""
    return f"{client_settings(bucket)[0].get('endpoint', 'aws')}/{bucket}"


def _endpoint(url: str, bucket: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise Unreachable(
            "the endpoint of the object storage is not an address `http(s)://host[:port]` and nothing more",
            hint="see AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and the profile; credentials have variables of their own",
        )
    if os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() == "true":
        return f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path.rstrip('/')}"
    return url.rstrip("/")


def _profile() -> dict[str, str]:
    """Return the settings of the profile; the two files spell its name differently."""
    name = os.environ.get("AWS_PROFILE", "default")
    folder = Path.home() / ".aws"
    sources = (
        (Path(os.environ.get("AWS_CONFIG_FILE") or folder / "config"), f"profile {name}"),
        (Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials"), name),
    )
    found: dict[str, str] = {}
    for path, section in sources:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path)
        except configparser.Error as error:
            raise Unreachable(
                f"cannot read the profile file {path}", hint="write it as an INI file"
            ) from error
        for title in (section, name):
            if parser.has_section(title):
                found |= parser[title]
    if not found and "AWS_PROFILE" in os.environ:
        raise Unreachable(
            f"profile `{name}` not found in {sources[0][0]} or {sources[1][0]}", hint="check AWS_PROFILE"
        )
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreachable(
            f"cannot read the certificates {path}: {error.strerror}", hint="check AWS_CA_BUNDLE"
        ) from error


def with_retries(act: Callable[[], T], verb: str, name: str, url: str, *, deadline: float = DEADLINE) -> T:
    """Return `act()`; retry it while its error is transient.

    Raises `Unreachable` after `deadline` seconds or for a permanent error; passes `FileNotFoundError` on, and obstore's
    `AlreadyExistsError` and `PreconditionError`.
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
                raise _explain(error, verb, name, url) from error
            raise
        except BaseError as error:
            left = deadline - (time.monotonic() - started)
            if not _is_transient(str(error)) or left < wait:
                raise _explain(error, verb, name, url) from error
        time.sleep(random.uniform(wait / 2, wait))  # noqa: S311  spreads clients, guards nothing
        wait = min(2 * wait, LONGEST_WAIT)


def _is_transient(text: str) -> bool:
    status, code = _status_and_code(text)
    if code in RETRY_CODES:
        return True
    if code in FULL_CODES or status == "507":
        return False
    return not status.startswith("4") or status in RETRY_STATUSES


def _status_and_code(text: str) -> tuple[str, str]:
    """Return HTTP status and S3's own code, each empty if the error has none."""
    status, code = STATUS.search(text), CODE.search(text)
    return status[1] if status else "", code[1] if code else ""


def _explain(error: Exception, verb: str, name: str, url: str) -> Unreachable:
    """Return the error for people. The client's message may hold parts of a request that must not be shown."""
    status, code = _status_and_code(str(error))
    reason = " ".join(filter(None, [status, code])) or "no answer"
    hint = HINTS.get(
        "507" if code in FULL_CODES else status, "check the endpoint (AWS_ENDPOINT_URL_S3) and the network"
    )
    if code == "RequestTimeTooSkewed":
        hint = SKEW
    return Unreachable(f"cannot {verb} `{name}` in the store {url}: {reason}", hint=hint)
