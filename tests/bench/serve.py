"""distil by a real server: `transformers serve` with a Qwen3-Omni of random weights, asked for pictures, sound and words.

`python -m tests.bench serve`. The teacher writes nonsense, 1,024 tokens of it, because this server heeds no `max_tokens`
for a model that can also talk; and it takes no video as a data URL, so that frames go as pictures. Checked is that a
real server takes what is sent, counts tokens, and answers a seed alike. Exits with 1 where it does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import urllib3

from c2f_spec.spec.endpoint import Client as How
from c2f_spec.spec.handoff import Endpoint
from runtime.endpoints.chat_client import ChatClient, text_message
from tests.bench.measuring import exit_with, temporary_folder
from tests.support.distil_world import context, prepared, run
from tests.support.servers import free_port

CLIPS = 2
START_SECONDS = 300.0


def main() -> None:
    wrong = []
    with temporary_folder("serve-") as root:
        from tests.support import tiny_teacher

        weights = tiny_teacher.folder()
        whole = prepared(root / "whole", CLIPS)
        heard = prepared(root / "heard", CLIPS, lacks=("video",))
        with serving(weights, root) as url:
            wrong += ask(root, whole, url, str(weights), "pictures, sound, words")
            wrong += ask(root, heard, url, str(weights), "sound, words")
            client = ChatClient(Endpoint(url=url, client=How(timeout=120)), str(weights))
            reply = client.chat(
                [text_message("user", "Say something.")], max_tokens=8, temperature=0.7, seed=3
            )
            print(f"words alone: {reply.tokens_in} tokens in, {reply.tokens_out} out, {reply.seconds:.2f} s")
    exit_with(wrong)


def ask(root: Path, folder: Path, url: str, model: str, what: str) -> list[str]:
    """Two runs of the stage with the same key, from nothing each."""
    teacher = {"model": model, "video": "frames", "max_new_tokens": 16, "retry": 0}
    found = []
    for n in range(2):
        own, client = root / f"{folder.name}-{n}", {"timeout": 120.0, "concurrency": 2}
        ctx = context(own, folder, url, store=own / "store", teacher=teacher, client=client)
        try:
            summary, made = run(ctx)
        except Exception as error:  # noqa: BLE001  a finding, whatever it is
            return [f"{what}: {type(error).__name__}: {error}"]
        found.append([reply["text"] for reply in made["replies"]])
        seconds = [each["seconds"] for each in made["times"]]
    tokens = {reply["tokens_in"] for reply in made["replies"]}
    print(
        f"{what}: {summary['kept']} of {CLIPS} clips answered, {min(tokens)} to {max(tokens)} tokens in, "
        f"{sum(seconds) / len(seconds):.2f} s a reply; the same seeds give {'the same' if found[0] == found[1] else 'OTHER'} replies"
    )
    wrong = [] if summary["kept"] == CLIPS else [f"{what}: {summary['failed']}"]
    return wrong + ([] if len(set(found[0])) == CLIPS else [f"{what}: clips are answered alike"])


def answers(pool: urllib3.PoolManager, url: str) -> bool:
    try:
        return pool.request("GET", url, timeout=2, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


@contextmanager
def serving(weights: Path, root: Path):
    """The URL of a server that answers."""
    port = free_port()
    (root / "hub").mkdir()
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root), "HF_HUB_CACHE": str(root / "hub")}
    env = {**os.environ, **hub, "OMP_NUM_THREADS": "1"}
    log = (root / "server.log").open("wb")
    where = ["--port", str(port), "--host", "127.0.0.1", "--device", "cpu"]
    command = [sys.executable, "-m", "tests.support.served", "serve", str(weights), *where]
    began = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    pool, health = urllib3.PoolManager(), f"http://127.0.0.1:{port}/health"
    try:
        while not answers(pool, health):
            if child.poll() is not None or time.monotonic() - began > START_SECONDS:
                sys.exit(f"the server does not answer:\n{(root / 'server.log').read_text()[-3000:]}")
            time.sleep(0.5)
        print(f"transformers serve {version('transformers')} answers after {time.monotonic() - began:.0f} s")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        child.kill()
        child.wait()
        print((root / "server.log").read_text()[-1500:] if os.environ.get("SHOW") else "", end="")
