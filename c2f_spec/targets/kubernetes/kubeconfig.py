"""Find the address of a cluster and an identity there: a kubeconfig, or the service account of this pod.

The package `kubernetes` is not used: it takes half a second to a second to import and its requests go through models
that are not needed, while a kubeconfig is a small YAML file. A key that is not supported is an error that names it.
(https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/)
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping


ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
UNSUPPORTED = ("auth-provider", "as", "as-uid", "as-groups", "as-user-extra")
"""Keys of a user that are not supported."""


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster and one identity."""

    server: str
    """URL of the API server."""
    namespace: str | None
    """The context's namespace; that of the environment takes precedence."""
    credential: Credential
    ca: bytes | None = None
    """PEM certificates to trust instead of the system's."""
    verify: bool = True
    server_name: str | None = None
    """The name in the server's certificate, if it is not the host of `server`."""
    proxy: str | None = None

    def tls(self) -> ssl.SSLContext:
        """Return the TLS settings; called again when a client certificate is renewed."""
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
    """Try `KUBECONFIG`, then `~/.kube/config`, then the pod's service account. Raise `Unreachable`."""
    listed = os.environ.get("KUBECONFIG")
    paths = [Path(p) for p in listed.split(os.pathsep) if p] if listed else [Path.home() / ".kube" / "config"]
    files = [path for path in paths if path.is_file()]
    if files:
        return from_kubeconfig(files, context)
    if listed:
        raise Unreachable(f"file not found: KUBECONFIG is {listed}", hint="correct KUBECONFIG, or unset it")
    if (ACCOUNT / "token").is_file():
        return in_cluster(os.environ, ACCOUNT)
    raise Unreachable(
        "cluster not found: there is no KUBECONFIG, no ~/.kube/config, and this is no pod with a service account",
        hint="set KUBECONFIG to a kubeconfig of the cluster; `plan --offline` and `render` need none",
    )


def in_cluster(environment: Mapping[str, str], account: Path) -> Access:
    """Return the access of this pod's service account. Its token is replaced on disk every hour or so, and read again."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    bracketed = f"[{host}]" if ":" in host else host
    return Access(
        f"https://{bracketed}:{port}",
        (account / "namespace").read_text().strip(),
        FileToken(account / "token"),
        ca=(account / "ca.crt").read_bytes(),
    )


def from_kubeconfig(files: list[Path], context: str | None) -> Access:
    """Return the access of a context, by default the current one. The first file with an entry wins, as in kubectl."""
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
                f"invalid kubeconfig {file}: {error}", hint="run `kubectl config view` to check it"
            ) from error
    where = ", ".join(map(str, files))
    if not current:
        raise Unreachable(f"{where} has no current context", hint="run `kubectl config use-context NAME`")
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
    unused = [key for key in UNSUPPORTED if user.get(key)]
    if unused:
        raise Unreachable(
            f"not supported: {where} has a user with `{unused[0]}`",
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
    return Token(None, pair) if pair else Anonymous()


def _data(entry: dict[str, Any], key: str, folder: Path) -> bytes | None:
    """Return `key-data`, in base64, or the content of `key`, a path relative to the kubeconfig."""
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    return (folder / entry[key]).read_bytes() if entry.get(key) else None


REREAD_SECONDS = 60
"""The kubelet exchanges a token when a fifth of its life is left, an hour at least; client-go reads it as often."""
EARLY_SECONDS = 30
"""A token is renewed this long before it expires."""
EXEC_SECONDS = 60
CLUSTER_INFO = frozenset(
    ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
)
"""Keys of a cluster that a credential plugin may read."""

Pair = tuple[bytes, bytes]
"""A client certificate and its key, in PEM."""


class Credential(Protocol):
    """An identity. `token` is called for every request."""

    def token(self) -> str | None:
        """Return the bearer token for the next request."""
        ...

    def certificate(self) -> Pair | None:
        """Return the client certificate of new connections."""
        ...

    def renew(self) -> bool:
        """Renew the credential after a 401; return true if another attempt may succeed."""
        ...


class Anonymous:
    """No identity, for a server on this machine that needs none."""

    def token(self) -> str | None:
        return None

    def certificate(self) -> Pair | None:
        return None

    def renew(self) -> bool:
        return False


class Token(Anonymous):
    """A token that does not change, a client certificate, or both."""

    def __init__(self, token: str | None, pair: Pair | None = None) -> None:
        self._token, self._pair = token, pair

    def token(self) -> str | None:
        return self._token

    def certificate(self) -> Pair | None:
        return self._pair


class FileToken(Anonymous):
    """A token in a file that another process replaces."""

    def __init__(self, path: Path, pair: Pair | None = None) -> None:
        self._path, self._pair = path, pair
        self._read, self._value = -REREAD_SECONDS * 2.0, ""

    def token(self) -> str | None:
        if time.monotonic() - self._read > REREAD_SECONDS:
            try:
                self._value, self._read = self._path.read_text().strip(), time.monotonic()
            except OSError as error:
                raise Unreachable(f"cannot read the token {self._path}: {error.strerror}") from error
        return self._value

    def certificate(self) -> Pair | None:
        return self._pair

    def renew(self) -> bool:
        before, self._read = self._value, -REREAD_SECONDS * 2.0
        return self.token() != before


class Exec(Anonymous):
    """A program that prints an `ExecCredential`, as those of the cloud providers do.

    (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins)
    """

    def __init__(self, config: dict[str, Any], cluster: dict[str, Any], folder: Path) -> None:
        self._config, self._cluster, self._folder = config, cluster, folder
        self._status: dict[str, Any] | None = None
        self._expires = float("inf")

    def token(self) -> str | None:
        return self._current().get("token")

    def certificate(self) -> Pair | None:
        status = self._current()
        if not status.get("clientCertificateData"):
            return None
        return status["clientCertificateData"].encode(), status["clientKeyData"].encode()

    def renew(self) -> bool:
        self._status = None
        return True

    def _current(self) -> dict[str, Any]:
        if self._status is None or time.time() > self._expires - EARLY_SECONDS:
            self._status = self._run()
            stamp = self._status.get("expirationTimestamp")
            self._expires = datetime.fromisoformat(stamp).timestamp() if stamp else float("inf")
        return self._status

    def _run(self) -> dict[str, Any]:
        command = str(self._config["command"])
        if "/" in command and not Path(command).is_absolute():
            command = str(self._folder / command)
        spec: dict[str, Any] = {"interactive": False}
        if self._config.get("provideClusterInfo"):
            spec["cluster"] = {k: v for k, v in self._cluster.items() if k in CLUSTER_INFO}
        info = {"apiVersion": self._config["apiVersion"], "kind": "ExecCredential", "spec": spec}
        env = {e["name"]: e["value"] for e in self._config.get("env") or ()}
        try:
            done = subprocess.run(
                [command, *(self._config.get("args") or ())],
                env={**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(info), **env},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=EXEC_SECONDS,
            )
            status: dict[str, Any] = json.loads(done.stdout)["status"]
        except FileNotFoundError as error:
            hint = str(self._config.get("installHint") or "install it: the kubeconfig names this program")
            raise Unreachable(
                f"`{command}`, which logs in to the cluster, was not found", hint=hint
            ) from error
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip()[-300:]
            raise Unreachable(f"`{command}`, which logs in to the cluster, failed: {last}") from error
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"`{command}`, which logs in to the cluster, returned no credential") from error
        return status
