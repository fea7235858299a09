"""Who we are to a bucket, and where it is: from the environment or a profile, and from nowhere else.

AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL     the server, unless it is Amazon's
AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true     the bucket goes into the host's name (OSS, COS), not into the path
AWS_CA_BUNDLE                             certificates to trust besides the system's
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
AWS_PROFILE                               else a profile of ~/.aws/config and ~/.aws/credentials, `default` unless named

Without any of them the client asks what gives a pod or a machine its identity: a web identity token, a container's or
an instance's endpoint. The names are those of https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from c2f_spec.errors import Unreachable

SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
CONNECT_TIMEOUT, SILENCE_TIMEOUT, REQUEST_TIMEOUT = "5s", "12s", "120s"
"""To connect; without a byte; for one request, of which none carries more than a part of a file."""


def account(bucket: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of obstore's `S3Store` and of its HTTP client. Raises `Unreachable` if a named file cannot be read."""
    profile = _profile()
    endpoint = (
        os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or profile.get("endpoint_url")
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or profile.get("region")
    config: dict[str, Any] = {"region": region or "us-east-1"}
    if "AWS_CHECKSUM_ALGORITHM" not in os.environ:
        # The signature has the same digest, but SeaweedFS for one verifies what it says of a body only if told twice.
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


def endpoint_of(bucket: str) -> str:
    """Names a server and a bucket, for what is known of the two together."""
    return f"{account(bucket)[0].get('endpoint', 'aws')}/{bucket}"


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
    """A profile's settings; the two files spell its name differently."""
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
            raise Unreachable(f"cannot read the profile file {path}", hint="it is not an INI file") from error
        for title in (section, name):
            if parser.has_section(title):
                found |= parser[title]
    if not found and "AWS_PROFILE" in os.environ:
        raise Unreachable(
            f"no profile `{name}` in {sources[0][0]} or {sources[1][0]}", hint="see AWS_PROFILE"
        )
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreachable(
            f"cannot read the certificates {path}: {error.strerror}", hint="see AWS_CA_BUNDLE"
        ) from error
