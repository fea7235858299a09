"""Who we are to an API server, and how that is renewed: each answers `token()` anew for every request."""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from c2f_spec.errors import Unreachable

REREAD_SECONDS = 60
"""The kubelet exchanges a token when a fifth of its life is left, an hour at least; client-go reads it as often."""
EARLY_SECONDS = 30
"""A token is renewed this long before it expires."""
EXEC_SECONDS = 60

Pair = tuple[bytes, bytes]
"""A client certificate and its key, in PEM."""


class Credential(Protocol):
    """An identity."""

    def token(self) -> str | None:
        """The bearer token for the next request."""
        ...

    def certificate(self) -> Pair | None:
        """The client certificate of new connections."""
        ...

    def renew(self) -> bool:
        """The server said 401: whether it is worth asking again."""
        ...


class Nobody:
    """No identity: a server on this machine that asks for none."""

    def token(self) -> str | None:
        return None

    def certificate(self) -> Pair | None:
        return None

    def renew(self) -> bool:
        return False


class Token(Nobody):
    """A token that stays, a client certificate, or both."""

    def __init__(self, token: str | None, pair: Pair | None = None) -> None:
        self._token, self._pair = token, pair

    def token(self) -> str | None:
        return self._token

    def certificate(self) -> Pair | None:
        return self._pair


class FileToken(Nobody):
    """A token that somebody exchanges on disk."""

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


class Exec(Nobody):
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
            kept = {
                "server",
                "tls-server-name",
                "insecure-skip-tls-verify",
                "certificate-authority-data",
                "proxy-url",
            }
            spec["cluster"] = {k: v for k, v in self._cluster.items() if k in kept}
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
            hint = str(self._config.get("installHint") or "the kubeconfig names this program: install it")
            raise Unreachable(
                f"`{command}`, which logs in to the cluster, is not installed", hint=hint
            ) from error
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip()[-300:]
            raise Unreachable(f"`{command}`, which logs in to the cluster, failed: {last}") from error
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"`{command}`, which logs in to the cluster, gave no credential") from error
        return status
