"""distil by a teacher that is asked: killed at random moments, and what the client adds to a request.

`python -m tests.bench distil`. Exits with 1 if a clip is not exactly once in the output, if more than K were asked again
for one kill, or if the outputs differ from those of a run that nobody disturbed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from c2f_spec.spec.endpoint import Client as How
from c2f_spec.spec.handoff import Endpoint, Placement
from runtime.endpoints.chat_client import ChatClient, Message, text_part
from runtime.process.units import UNIT, max_lost_rows
from tests.bench.measuring import exit_with, temporary_folder
from tests.support import killed
from tests.support.distil_world import MEDIA, SAME, TEACHER, canonical, prepared, rows, words_of
from tests.support.fake_endpoint import Fake, serving
from tests.support.killed import Stand
from tests.support.killed_asking import committed, start, write_stage
from tests.support.servers import BUCKET, seaweed

CLIPS, SHARDS, KILLS, AT_ONCE = 2000, 8, 50, 4
SECONDS = 0.5
"""Of a reply."""
LONGEST = 900.0


if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Storm:
    """What became of the clips."""

    kills: list[tuple[float, int]] = field(default_factory=list)
    """When, and which shard."""
    again: list[int] = field(default_factory=list)
    """Clips that were asked a second time because of each."""
    asked: int = 0
    seconds: float = 0.0
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with temporary_folder("distil-") as folder:
        wrong = storms(folder)
        overhead()
    exit_with(wrong)


# ---- kills


def storms(root: Path) -> list[str]:
    clips = prepared(root / "prepared", CLIPS)
    print(
        f"{CLIPS:,} clips, {SHARDS} shards of {AT_ONCE} requests at once, a reply takes {SECONDS} s; killed by SIGKILL"
    )
    print(
        f"{'store':<8} {'kills':>6} {'attempts':>9} {'requests':>9} {'again':>6} {'most of a kill':>15} {'K':>4} {'seconds':>8}  output"
    )
    wrong = []
    with seaweed(root / "seaweed") as server:
        for name, store in (("folder", str(root / "store")), ("s3", f"s3://{BUCKET}/c2f")):
            for variable, value in server.env.items() if name == "s3" else ():
                os.environ[variable] = value
            quiet, storm = (
                run(root / f"{name}-{kind}", f"{store}-{kind}", clips, n)
                for kind, n in (("q", 0), ("k", KILLS))
            )
            same = quiet[1] == storm[1]
            found, k = storm[0], AT_ONCE if name == "folder" else max_lost_rows(AT_ONCE)
            found.wrong += [] if same else [f"{name}: other bytes than undisturbed"]
            found.wrong += [
                f"{name}: {n} clips asked again for one kill, {k} allowed" for n in found.again if n > k
            ]
            print(
                f"{name:<8} {len(found.kills):>6} {found.attempts:>9} {found.asked:>9} {sum(found.again):>6} "
                f"{max(found.again):>15} {k:>4} {found.seconds:>8.0f}  {'same bytes' if same else 'OTHER BYTES'}"
                f" (undisturbed: {quiet[0].asked} requests, {quiet[0].seconds:.0f} s)",
                flush=True,
            )
            wrong += quiet[0].wrong + found.wrong
    return wrong


def run(root: Path, store: str, clips: Path, kills: int) -> tuple[Storm, dict[str, str]]:
    """All shards to their end, restarted when they are killed; the digests of what was committed."""
    root.mkdir(parents=True)
    stand = Stand(root, store, {"prepare": clips})
    fake = Fake(canonical, seconds=SECONDS)
    fake.keep = False
    storm, rng, asked = Storm(), random.Random(5), []
    inner = fake.answer
    fake.answer = lambda body: (asked.append((time.monotonic(), words_of(body))), inner(body))[1]
    with serving(fake) as url:
        endpoint = Endpoint(url=url, client=How(concurrency=AT_ONCE, timeout=30.0))
        placement = Placement(shards=SHARDS, endpoint=endpoint)
        path = write_stage(stand, "distil", {"teacher": TEACHER, "media": MEDIA}, placement, ("prepare",))

        def start_shard(number: int) -> multiprocessing.Process:
            storm.attempts += 1
            return start(stand, path, log=f"log-{number}", JOB_COMPLETION_INDEX=str(number))

        began = time.monotonic()
        left = {number: start_shard(number) for number in range(SHARDS)}
        next_kill = began + 2
        while left and time.monotonic() - began < LONGEST:
            time.sleep(0.05)
            for number, child in list(left.items()):
                if child.is_alive():
                    continue
                if child.exitcode == 0:
                    del left[number]
                    continue
                if child.exitcode != -signal.SIGKILL:
                    storm.wrong.append(f"shard {number} ended with {child.exitcode}")
                left[number] = start_shard(number)
            if left and len(storm.kills) < kills and time.monotonic() >= next_kill:
                number = rng.choice(sorted(left))
                os.kill(left[number].pid, signal.SIGKILL)
                left[number].join()
                storm.kills.append((time.monotonic(), number))
                next_kill = time.monotonic() + rng.uniform(0.1, 0.8)
        storm.seconds = time.monotonic() - began
    storm.asked = len(asked)
    storm.again = repeats(storm.kills, asked)
    if len(storm.kills) < kills:
        storm.wrong.append(f"it was done after {len(storm.kills)} kills")
    return storm, outputs(stand, path, storm)


def repeats(kills: list[tuple[float, int]], asked: list[tuple[float, int]]) -> list[int]:
    """Clips of a shard that were asked before it was killed, and again between then and its next death."""
    found = []
    for moment, shard in kills:
        until = min((t for t, s in kills if s == shard and t > moment), default=float("inf"))
        ours = [(t, n) for t, n in asked if n // UNIT % SHARDS == shard]
        before = {n for t, n in ours if t <= moment}
        found.append(len({n for t, n in ours if moment < t <= until} & before))
    return found


def outputs(stand: Stand, path: Path, storm: Storm) -> dict[str, str]:
    """Return digests of the committed files that depend on nothing but the key; every clip must be there once."""
    digests = killed.outputs(stand, path)
    if not digests:
        log = (stand.folder / "log-0").read_text()[-2000:]
        storm.wrong.append(f"nothing was committed\n{log}")
        return {}
    ids = [row["id"] for row in rows(committed(stand, path) / "chains.jsonl")]
    if ids != [f"clip-{n:04d}" for n in range(CLIPS)]:
        storm.wrong.append(f"{len(ids)} chains of {len(set(ids))} clips, {CLIPS} of each wanted")
    return {name: digests[name] for name in SAME}


# ---- overhead


def overhead() -> None:
    """Latency and processor time of a request whose media are encoded, to a server that only counts bytes."""
    print(
        "\nclient, media encoded before; a server in another process that answers at once, without reading the JSON"
    )
    print(
        f"{'request':>10} {'at once':>8} {'latency, median':>16} {'bare socket':>12} {'processor':>10}   ms a request"
    )
    with instant() as url:
        for size in (100_000, 1_000_000):
            message = Message(
                "user", (b'{"type":"video_url","video_url":{"url":"%s"}}' % (b"A" * size), text_part("Say."))
            )
            for width in (1, 8):
                latency, processor = timed(url, message, width)
                bare = median(sorted(bare_request(url, size) for _ in range(200))) if width == 1 else None
                print(
                    f"{size / 1e6:>8.1f}MB {width:>8} {latency * 1e3:>16.2f} {'' if bare is None else f'{bare * 1e3:.2f}':>12} {processor * 1e3:>10.2f}"
                )


def timed(url: str, message: Message, width: int, requests: int = 400) -> tuple[float, float]:
    """Median latency of a request, and processor time of all divided by their number."""
    from concurrent.futures import ThreadPoolExecutor

    client = ChatClient(Endpoint(url=url, client=How(concurrency=width)), "m")

    def one(_: int) -> float:
        began = time.perf_counter()
        client.chat([message], max_tokens=768, temperature=0.7, top_p=0.95, seed=1)
        return time.perf_counter() - began

    with ThreadPoolExecutor(width) as pool:
        list(pool.map(one, range(20)))
        before = time.process_time()
        found = list(pool.map(one, range(requests)))
        spent = time.process_time() - before
    return median(found), spent / requests


def bare_request(url: str, size: int) -> float:
    """The same bytes through a socket and nothing else: what no client can save."""
    host, port = url.split("/")[2].split(":")
    data = b"A" * size
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + data)
        connection.recv(65536)
        return time.perf_counter() - began


@contextmanager
def instant():
    child = subprocess.Popen([sys.executable, "-c", INSTANT], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}/v1"
    finally:
        child.kill()
        child.wait()


REPLY = json.dumps(
    {
        "choices": [{"message": {"content": "x" * 1600}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 400},
    }
)
INSTANT = f"""
import socket, threading
BODY = {REPLY!r}.encode()
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY) + BODY
def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        while b"\\r\\n\\r\\n" not in data:
            more = connection.recv(1 << 20)
            if not more:
                return
            data += more
        head, _, rest = data.partition(b"\\r\\n\\r\\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
        left = length - len(rest)
        while left > 0:
            left -= len(connection.recv(1 << 20))
        data = b""
        connection.sendall(ANSWER)
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
