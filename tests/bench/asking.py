"""Stages that ask a model about clips, killed at random moments: the judge's filter, and the teacher that transformers runs.

`python -m tests.bench asking`, 3 minutes. Exits with 1 if a clip is not exactly once in the output, if more were asked
again for a kill than were under way, or if the outputs differ from those of a run that nobody disturbed. What it takes
for `distil` over HTTP, with shards, is in `python -m tests.bench distil`.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

from runtime.process.units import max_lost_rows
from runtime.process.worker import go_offline
from tests.bench.measuring import exit_with, temporary_folder
from tests.support.distil_world import SAME, rows
from tests.support.fake_endpoint import Fake, serving
from tests.support.killed_asking import (
    PRELOADED,
    Storm,
    committed,
    judge_stage,
    judge_stand,
    mark,
    storm,
    teacher_stage,
    teacher_stand,
)
from tests.support.servers import BUCKET, seaweed

if TYPE_CHECKING:
    from pathlib import Path

JUDGED, MARKS_AT_ONCE, JUDGE_KILLS = 400, 4, 30
TAUGHT, BATCH, TEACHER_KILLS = 100, 8, 10
SECONDS = 0.1
"""Of a mark."""
WITH_MODELS = (*PRELOADED, "runtime.teachers.transformers", "torch", "transformers")


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    go_offline()  # the processes that work inherit what was imported before them
    print(
        "killed by SIGKILL at random moments; again: rows made a second time, and at most so many for a kill"
    )
    print(
        f"{'stage':<28} {'clips':>6} {'kills':>6} {'attempts':>9} {'again':>6} {'allowed':>8} {'seconds':>8}  output"
    )
    wrong = []
    with temporary_folder("asking-") as root:
        with seaweed(root / "seaweed") as server:
            os.environ.update(server.env)
            wrong += storm_judge(root / "folder", str(root / "store"), "judge, folder", MARKS_AT_ONCE)
            wrong += storm_judge(root / "s3", f"s3://{BUCKET}/c2f", "judge, S3", max_lost_rows(MARKS_AT_ONCE))
        wrong += storm_teacher(root / "taught")
    exit_with(wrong)


def storm_judge(root: Path, store: str, name: str, k: int) -> list[str]:
    draw, found, asked = random.Random(7), {}, {}
    fake = Fake(mark, seconds=SECONDS)
    fake.keep = False
    began = time.monotonic()
    with serving(fake) as url:
        for kind, kills in (("quiet", 0), ("killed", JUDGE_KILLS)):
            before = sum(fake.seen.values())
            stand = judge_stand(root / kind, f"{store}-{kind}", JUDGED)
            path = judge_stage(stand, url, MARKS_AT_ONCE)
            found[kind] = storm(stand, path, kills, lambda: draw.uniform(0.2, 0.8), WITH_MODELS)
            asked[kind] = sum(fake.seen.values()) - before
    ids = [row["id"] for row in rows(committed(stand, path) / "marks.jsonl")]
    # A mark that is asked for up to three times may be killed at its last try.
    again = asked["killed"] - asked["quiet"]
    return _compare(name, JUDGED, ids, found, ("chains.jsonl", "dropped.jsonl", "marks.jsonl", "funnel.json"), again, 3 * k, began)  # fmt: skip


def storm_teacher(root: Path) -> list[str]:
    from tests.support import tiny_teacher

    draw, found = random.Random(7), {}
    began = time.monotonic()
    for kind, kills in (("quiet", 0), ("killed", TEACHER_KILLS)):
        stand = teacher_stand(root / kind, str(root / f"store-{kind}"), TAUGHT, tiny_teacher.folder())
        path = teacher_stage(stand)
        found[kind] = storm(stand, path, kills, lambda: draw.uniform(1.0, 3.0), WITH_MODELS)
    ids = [row["id"] for row in rows(committed(stand, path) / "chains.jsonl")]
    again = found["killed"].written[-1] - TAUGHT
    return _compare("transformers teacher, folder", TAUGHT, ids, found, SAME, again, BATCH, began)


def _compare(name: str, clips: int, ids: list[str], found: dict[str, Storm], same: tuple[str, ...], again: int, k: int, began: float) -> list[str]:  # fmt: skip
    quiet, killed = found["quiet"], found["killed"]
    wrong = [f"{name}: {each}" for each in (*quiet.wrong, *killed.wrong)]
    alike = all(quiet.outputs.get(file) == killed.outputs.get(file) for file in same)
    if not alike:
        wrong.append(f"{name}: other bytes than undisturbed")
    if ids != [f"clip-{n:04d}" for n in range(clips)]:
        wrong.append(f"{name}: {len(ids)} rows of {len(set(ids))} clips, {clips} of each wanted")
    if again > k * killed.kills:
        wrong.append(f"{name}: {again} again for {killed.kills} kills, {k} allowed for each")
    print(
        f"{name:<28} {clips:>6} {killed.kills:>6} {killed.attempts:>9} {again:>6} {k * killed.kills:>8}"
        f" {time.monotonic() - began:>8.0f}  {'same bytes' if alike else 'OTHER BYTES'}",
        flush=True,
    )
    return wrong
