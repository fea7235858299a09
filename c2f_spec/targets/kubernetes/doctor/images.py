"""Are the images in their registry, by digest?

Asked of the registry from here, with the credentials of the environment's pull secrets where this identity may read
them (OCI distribution specification 1.1, "Checking if content exists in the registry"). Whether the *nodes* reach the
registry is not known from here, and pulling 20 GB to find out is not `doctor`'s to do: `status` says so of the first
pod. A registry that only nodes reach is a warning, not an error.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from c2f_spec.diagnostics.health import Finding, error, ok, warning
from c2f_spec.targets.kubernetes.client import SECRETS
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from email.message import Message

    from c2f_spec.targets.kubernetes.doctor import Site

KINDS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
HUB = "registry-1.docker.io"
SECONDS = 10.0


class Reference(NamedTuple):
    """Where a manifest lies."""

    registry: str
    repository: str
    digest: str


def reference(image: str) -> Reference:
    """`registry.example:5000/team/c2f:1.0@sha256:…` in its parts; without a registry it is Docker Hub's."""
    path, _, digest = image.partition("@")
    first, _, rest = path.partition("/")
    given = rest and ("." in first or ":" in first or first == "localhost")
    registry, name = (first, rest) if given else (HUB, path if "/" in path else f"library/{path}")
    return Reference(HUB if registry == "docker.io" else registry, re.sub(r":[^/]*$", "", name), digest)


def images(site: Site) -> list[Finding]:
    """One line for each image of the environment."""
    environment = site.environment
    named = {
        "image": environment.image,
        "driver_image": environment.driver_image,
        "vllm_image": environment.vllm_image,
        "engine_image": environment.engine_image,
    }
    logins = _logins(site)
    return [_look(field, image, logins) for field, image in named.items() if image]


def _look(field: str, image: str, logins: dict[str, str]) -> Finding:
    ref = reference(image)
    what = f"{field} {ref.registry}/{ref.repository}"
    if set(ref.digest.removeprefix("sha256:")) == {"0"}:
        return error(
            what,
            "its digest is the example's zeros",
            f"build and push it (k8s/README.md), then correct `{field}`",
        )
    try:
        status = _ask(ref, logins.get(ref.registry))
    except OSError as problem:
        fix = "if only the nodes reach it, all is well; `status` says of the first pod whether it could be pulled"
        return warning(
            what, f"the registry does not answer from here ({getattr(problem, 'reason', problem)})", fix
        )
    if status == 200:
        return ok(what, f"{ref.digest[:19]} is in the registry")
    if status == 404:
        return error(what, f"{ref.digest[:19]} is not in the registry", f"push it, or correct `{field}`")
    if status in (401, 403):
        return warning(
            what,
            f"the registry asks for a login ({status})",
            "create a pull secret and name it in `pull_secrets`",
        )
    return warning(what, f"the registry answered {status}", "ask who runs it")


class Answer(NamedTuple):
    status: int
    headers: Message
    data: bytes


def _ask(ref: Reference, login: str | None) -> int:
    """Status of HEAD of the manifest, with a token where the registry wants one. Raises `OSError`."""
    host = ref.registry.rpartition(":")[0] or ref.registry
    scheme = "http" if host in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{ref.registry}/v2/{ref.repository}/manifests/{ref.digest}"
    answer = _send("HEAD", url, {})
    wanted = answer.headers.get("WWW-Authenticate") or ""
    if answer.status != 401:
        return answer.status
    if not wanted.lower().startswith("bearer"):
        return _send("HEAD", url, _basic(login)).status if login else 401
    parts = dict(re.findall(r'(\w+)="([^"]*)"', wanted))
    if not parts.get("realm", "").startswith(("https://", f"{scheme}://")):
        return 401  # our login does not go out in the clear
    query = urlencode({k: parts[k] for k in ("service", "scope") if k in parts})
    given = _send("GET", f"{parts['realm']}?{query}", _basic(login))
    if given.status != 200:
        return given.status
    told = json.loads(given.data)
    return _send(
        "HEAD", url, {"Authorization": f"Bearer {told.get('token') or told.get('access_token')}"}
    ).status


def _send(method: str, url: str, headers: dict[str, str]) -> Answer:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, headers={"Accept": KINDS, **headers}, method=method)  # noqa: S310  http and https only
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return Answer(answer.status, answer.headers, answer.read(1 << 20))
    except HTTPError as refusal:
        return Answer(refusal.code, refusal.headers, b"")


def _basic(login: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {login}"} if login else {}


def _logins(site: Site) -> dict[str, str]:
    """Registry to `user:password` in base64, of the pull secrets that may be read."""
    found: dict[str, str] = {}
    for name in site.environment.pull_secrets:
        try:
            secret = site.client.get(SECRETS, name) or {}
        except Forbidden:
            continue  # told by the question about Secrets
        packed = (secret.get("data") or {}).get(".dockerconfigjson")
        for server, entry in json.loads(base64.b64decode(packed)).get("auths", {}).items() if packed else ():
            host = re.sub(r"^https?://", "", server).split("/")[0]
            login = (
                entry.get("auth")
                or base64.b64encode(f"{entry.get('username')}:{entry.get('password')}".encode()).decode()
            )
            found[HUB if host in ("docker.io", "index.docker.io") else host] = login
    return found
