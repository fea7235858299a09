"""A teacher that vLLM serves: beside the stage's container on a cluster, as a child of the stage on a local target.

Its client is that of any endpoint. The child listens on localhost only, ends however the stage ends, and prints into the
stage's log. Not measured on a GPU: the tests have a substitute with its protocol and command line.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import urllib3

from c2f_spec.errors import InvalidStageSpec, Unreachable
from c2f_spec.spec import teacher as served
from c2f_spec.spec.handoff import Endpoint
from runtime.console import log_line
from runtime.process.signals import request_sigterm_at_parent_death
from runtime.teachers.openai import ChatTeacher

if TYPE_CHECKING:
    from c2f_spec.spec.teacher import VllmTeacher
    from runtime.teachers.questions import Task

START_SECONDS = 1800.0
"""Limit for loading the weights of the largest teachers and for capturing CUDA graphs."""
STOP_SECONDS = 10.0
POLL_SECONDS = 0.5


class Vllm(ChatTeacher):
    """The client, and the server where the placement has none."""

    def __init__(self, spec: VllmTeacher, task: Task) -> None:
        endpoint = task.endpoint or Endpoint()
        self._server: subprocess.Popen[bytes] | None = None
        if endpoint.url is None:
            self._server, url = start(spec, task, endpoint)
            endpoint = endpoint.model_copy(update={"url": url})
        super().__init__(spec, task, endpoint, "mp4")

    def close(self) -> None:
        super().close()
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


def start(spec: VllmTeacher, task: Task, endpoint: Endpoint) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server, wait until it answers, and return it with its URL.

    Raises `InvalidStageSpec` where there is no vLLM or no weights, `Unreachable` for a server that ends or never answers.
    """
    program = shutil.which("vllm")
    if program is None:
        raise InvalidStageSpec(
            "the program `vllm` is not found",
            hint="install vLLM into the environment, or use a teacher of kind `transformers`",
        )
    weights = task.find_weights(spec.model)
    port = _free_port()
    command = served.command(
        str(weights),
        spec.model,
        port=port,
        tensor_parallel=endpoint.tensor_parallel,
        memory=endpoint.memory,
    )
    log_line(f"starting {' '.join(command)}")
    child = subprocess.Popen(
        [program, *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=sys.stdout.fileno(),
        stderr=subprocess.STDOUT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        preexec_fn=request_sigterm_at_parent_death,  # noqa: PLW1509  no other threads yet, and nothing but a system call
    )
    try:
        _wait(child, f"http://{served.HOST}:{port}/health")
    except BaseException:
        child.kill()
        child.wait()
        raise
    return child, f"http://{served.HOST}:{port}/v1"


def _wait(child: subprocess.Popen[bytes], health: str) -> None:
    began = time.monotonic()
    pool = urllib3.PoolManager()
    while time.monotonic() - began < START_SECONDS:
        if child.poll() is not None:
            raise Unreachable(
                f"vLLM ended with {child.returncode} before it answered", hint="see the end of the log"
            )
        try:
            if pool.request("GET", health, timeout=POLL_SECONDS, retries=False).status == 200:
                log_line(f"vLLM answers after {time.monotonic() - began:.0f} s")
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(POLL_SECONDS)
    raise Unreachable(f"vLLM timed out after {START_SECONDS:g} s", hint="see the end of the log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((served.HOST, 0))
        return int(probe.getsockname()[1])
