"""Two processes train as one does, and none waits for the other for ever; `python -m tests.bench ranks` tries more."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.support import omni, ranks
from tests.support.killed import workers
from tests.support.servers import free_port

pytestmark = [pytest.mark.filterwarnings(line) for line in omni.NOISE]

PATIENCE = 120.0
"""Seconds; then they hang."""
CASES = [
    replace(ranks.SPLIT, section=ranks.SPLIT.section | {"steps": 2}),
    replace(ranks.REPLACED, name="patterns", patterns=True, section=ranks.REPLACED.section | {"steps": 10}),
]
"""A group of which each rank has a half; and other groups hard in each step, on one rank, on both or on none."""


def rank_of_two(rank: int, port: int, folder, made) -> None:
    """What torchrun tells a worker, and then its part."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(meeting, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    ranks.run_all(CASES, folder, made, "off", rank, 2)


def test_two_processes_make_the_metrics_of_one(tmp_path):
    ranks.make_inputs(tmp_path)
    (tmp_path / "two").mkdir()
    port = free_port()
    children = [
        workers().Process(target=rank_of_two, args=(rank, port, tmp_path / "two", tmp_path))
        for rank in (0, 1)
    ]
    for child in children:
        child.start()
    ranks.run_all(CASES, tmp_path / "one", tmp_path, "off", 0, 1)
    for child in children:
        child.join(PATIENCE)
        if child.is_alive():
            child.kill()
    assert [child.exitcode for child in children] == [0, 0]
    for case in CASES:
        metrics, weights = ranks.apart(
            *(tmp_path / how / case.name / "rank-0" / "out" for how in ("one", "two"))
        )
        assert metrics < 1e-5
        assert weights < 1e-3, "Adam's first steps have the size of the rate, whatever the size of a gradient"
    hinted = {
        row["hint/groups"]
        for row in omni.lines(tmp_path / "one" / "patterns" / "rank-0" / "out" / "metrics.jsonl")
    }
    assert {0.0, 1.0} < hinted
