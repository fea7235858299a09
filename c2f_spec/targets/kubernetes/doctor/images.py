"""Check that the images are in their registry, by digest.

The registry is asked from this machine, with the credentials of the environment's pull secrets where this identity may
read them (OCI distribution specification 1.1, "Checking if content exists in the registry"). Whether the *nodes* reach
the registry is not known here, so a registry that only nodes reach is a warning; `status` reports pulls that fail.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.targets.kubernetes.client import SECRETS
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from email.message import Message

    from c2f_spec.targets.kubernetes.doctor.cluster import Site

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
HUB = "registry-1.docker.io"
TIMEOUT_SECONDS = 10.0


class Reference(NamedTuple):
    """An image in a registry."""

    registry: str
    repository: str
    digest: str


def reference(image: str) -> Reference:
    """Split `registry.example:5000/team/c2f:1.0@sha256:…`; without a registry it is Docker Hub's."""
    path, _, digest = image.partition("@")
    first, _, rest = path.partition("/")
    named = rest and ("." in first or ":" in first or first == "localhost")
    registry, name = (first, rest) if named else (HUB, path if "/" in path else f"library/{path}")
    return Reference(HUB if registry == "docker.io" else registry, re.sub(r":[^/]*$", "", name), digest)


def check_images(site: Site) -> list[HealthCheck]:
    """Return a finding for each image of the environment."""
    logins = _logins(site)
    fields = ("image", "driver_image", "vllm_image", "engine_image")
    images = {field: getattr(site.environment, field) for field in fields}
    return [_check_image(field, image, logins) for field, image in images.items() if image]


def _check_image(field: str, image: str, logins: dict[str, str]) -> HealthCheck:
    ref = reference(image)
    what = f"{field} {ref.registry}/{ref.repository}"
    if set(ref.digest.removeprefix("sha256:")) == {"0"}:
        fix = f"build and push it (k8s/README.md), then set `{field}`"
        return error(what, "its digest is the placeholder of the example (zeros)", fix)
    try:
        status = _manifest_status(ref, logins.get(ref.registry))
    except OSError as problem:
        detail = f"the registry cannot be reached from this machine ({getattr(problem, 'reason', problem)})"
        fix = "ignore this if only the nodes reach it; `status` reports whether the first pod could pull it"
        return warning(what, detail, fix)
    if status == 200:
        return ok(what, f"{ref.digest[:19]} is in the registry")
    if status == 404:
        return error(what, f"{ref.digest[:19]} not found in the registry", f"push it, or correct `{field}`")
    if status in (401, 403):
        fix = "create a pull secret and name it in `pull_secrets`"
        return warning(what, f"permission denied by the registry ({status})", fix)
    return warning(what, f"the registry answered {status}", "ask the administrator of the registry")


class Answer(NamedTuple):
    status: int
    headers: Message
    data: bytes


def _manifest_status(ref: Reference, login: str | None) -> int:
    """Return the status of HEAD of the manifest, with a token where the registry wants one. Raise `OSError`."""
    host = ref.registry.rpartition(":")[0] or ref.registry
    scheme = "http" if host in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{ref.registry}/v2/{ref.repository}/manifests/{ref.digest}"
    answer = _send("HEAD", url, {})
    challenge = answer.headers.get("WWW-Authenticate") or ""
    if answer.status != 401:
        return answer.status
    if not challenge.lower().startswith("bearer"):
        return _send("HEAD", url, _basic(login)).status if login else 401
    parts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not parts.get("realm", "").startswith(("https://", f"{scheme}://")):
        return 401  # the login is not sent in the clear
    query = urlencode({k: parts[k] for k in ("service", "scope") if k in parts})
    granted = _send("GET", f"{parts['realm']}?{query}", _basic(login))
    if granted.status != 200:
        return granted.status
    token = json.loads(granted.data)
    bearer = {"Authorization": f"Bearer {token.get('token') or token.get('access_token')}"}
    return _send("HEAD", url, bearer).status


def _send(method: str, url: str, headers: dict[str, str]) -> Answer:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, headers={"Accept": MANIFESTS, **headers}, method=method)  # noqa: S310  http and https only
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return Answer(answer.status, answer.headers, answer.read(1 << 20))
    except HTTPError as refusal:
        return Answer(refusal.code, refusal.headers, b"")


def _basic(login: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {login}"} if login else {}


def _logins(site: Site) -> dict[str, str]:
    """Return `user:password` in base64 by registry, of the pull secrets that this identity may read."""
    logins: dict[str, str] = {}
    for name in site.environment.pull_secrets:
        try:
            secret = site.client.get(SECRETS, name) or {}
        except Forbidden:
            continue  # the check of Secrets reports it
        packed = (secret.get("data") or {}).get(".dockerconfigjson")
        for server, entry in json.loads(base64.b64decode(packed)).get("auths", {}).items() if packed else ():
            host = re.sub(r"^https?://", "", server).split("/")[0]
            plain = f"{entry.get('username')}:{entry.get('password')}"
            login = entry.get("auth") or base64.b64encode(plain.encode()).decode()
            logins[HUB if host in ("docker.io", "index.docker.io") else host] = login
    return logins
