"""How to reach a cluster and who we are there: kubeconfig, or the service account of the pod we run in.

This is the measured better way than `kubernetes.config`: that package takes half a second to a second to import and
its requests go through models we do not use, while a kubeconfig is a small YAML file. What it can hold and we cannot
use is an error that names it, never passed over.
(https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/)
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.credentials import Credential, Exec, FileToken, Nobody, Token

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NOT_USED = ("auth-provider", "as", "as-uid", "as-groups", "as-user-extra")
"""Keys of a user that we do not honour."""


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster and one identity."""

    server: str
    """URL of the API server."""
    namespace: str | None
    """The context's; the environment's goes before it."""
    credential: Credential
    ca: bytes | None = None
    """PEM certificates to trust instead of the system's."""
    verify: bool = True
    server_name: str | None = None
    """What the server's certificate must be for, if not the host of `server`."""
    proxy: str | None = None

    def tls(self) -> ssl.SSLContext:
        """How to talk to the server; made anew when a client certificate is renewed."""
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        pair = self.credential.certificate()
        if pair is not None:
            # `ssl` reads certificates from files only.
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"\n".join(pair))
                file.flush()
                context.load_cert_chain(file.name)
        return context


def find_access(context: str | None = None) -> Access:
    """`KUBECONFIG`, then `~/.kube/config`, then the pod's service account. Raises `Unreachable`."""
    listed = os.environ.get("KUBECONFIG")
    paths = [Path(p) for p in listed.split(os.pathsep) if p] if listed else [Path.home() / ".kube" / "config"]
    files = [path for path in paths if path.is_file()]
    if files:
        return from_kubeconfig(files, context)
    if listed:
        raise Unreachable(f"KUBECONFIG names no file that exists: {listed}", hint="correct it, or unset it")
    if (ACCOUNT / "token").is_file():
        return in_cluster(os.environ, ACCOUNT)
    raise Unreachable(
        "no cluster: there is no KUBECONFIG, no ~/.kube/config, and this is no pod with a service account",
        hint="get a kubeconfig from who runs the cluster, and name it by KUBECONFIG; `plan --offline` and `render` need none",
    )


def in_cluster(environment: Mapping[str, str], account: Path) -> Access:
    """The service account of this pod. Its token is exchanged on disk every hour or so; it is read again."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    bracketed = f"[{host}]" if ":" in host else host
    return Access(
        f"https://{bracketed}:{port}",
        (account / "namespace").read_text().strip(),
        FileToken(account / "token"),
        ca=(account / "ca.crt").read_bytes(),
    )


def from_kubeconfig(files: list[Path], context: str | None) -> Access:
    """The current context, or the one named. Of several files, the first that has an entry wins, as in kubectl."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    merged: dict[str, dict[str, tuple[dict[str, Any], Path]]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = context
    for file in files:
        try:
            content = YAML(typ="safe", pure=True).load(file.read_text())
            current = current or content.get("current-context")
            for kind, found in merged.items():
                for entry in content.get(kind) or ():
                    found.setdefault(entry["name"], (entry.get(kind[:-1]) or {}, file.parent))
        except (OSError, YAMLError, AttributeError, KeyError, TypeError) as error:
            raise Unreachable(
                f"{file} is not a kubeconfig: {error}", hint="kubectl config view shows it"
            ) from error
    where = ", ".join(map(str, files))
    if not current:
        raise Unreachable(f"{where} has no current context", hint="kubectl config use-context NAME")
    chosen, _ = _named(merged["contexts"], current, "context", where)
    cluster, cluster_folder = _named(merged["clusters"], chosen.get("cluster"), "cluster", where)
    user, user_folder = _named(merged["users"], chosen.get("user"), "user", where)
    return Access(
        str(cluster.get("server", "")).rstrip("/"),
        chosen.get("namespace"),
        _credential(user, user_folder, cluster, where),
        ca=_data(cluster, "certificate-authority", cluster_folder),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
    )


def _named(
    entries: dict[str, tuple[dict[str, Any], Path]], name: str | None, kind: str, where: str
) -> tuple[dict[str, Any], Path]:
    if name not in entries:
        raise Unreachable(
            f"{where} has no {kind} `{name}`", hint=f"it has {', '.join(sorted(entries)) or 'none'}"
        )
    return entries[name]


def _credential(user: dict[str, Any], folder: Path, cluster: dict[str, Any], where: str) -> Credential:
    unused = [key for key in NOT_USED if user.get(key)]
    if unused:
        raise Unreachable(
            f"{where} has a user with `{unused[0]}`, which is not used here",
            hint="use a token, a client certificate or an `exec` plugin",
        )
    certificate = _data(user, "client-certificate", folder)
    key = _data(user, "client-key", folder)
    pair = (certificate, key) if certificate and key else None
    if user.get("token"):
        return Token(str(user["token"]), pair)
    if user.get("tokenFile"):
        return FileToken(folder / user["tokenFile"], pair)
    if user.get("exec"):
        return Exec(user["exec"], cluster, folder)
    return Token(None, pair) if pair else Nobody()


def _data(entry: dict[str, Any], key: str, folder: Path) -> bytes | None:
    """`key-data` in base64 goes before `key`, a path relative to the kubeconfig."""
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    return (folder / entry[key]).read_bytes() if entry.get(key) else None
