"""The judge's filter, killed while it asks: no mark is lost, none is asked for twice but what was under way."""

from __future__ import annotations

import random
from collections import Counter

from tests.support.distil_world import rows
from tests.support.fake_endpoint import Fake, serving
from tests.support.killed_asking import clip_of, committed, judge_stage, judge_stand, mark, storm

CLIPS, AT_ONCE, KILLS = 24, 4, 3


def test_a_filter_that_is_killed_during_requests_to_its_judge_ends_in_the_same_bytes(tmp_path):
    asked = Counter()

    def answer(body):
        asked[clip_of(body)] += body["temperature"] == 0
        return mark(body)

    draw, found = random.Random(3), {}
    with serving(Fake(answer, seconds=0.05)) as url:
        for name, kills in (("quiet", 0), ("killed", KILLS)):
            stand = judge_stand(tmp_path / name, str(tmp_path / f"store-{name}"), CLIPS)
            path = judge_stage(stand, url, AT_ONCE)
            found[name] = storm(stand, path, kills, lambda: draw.uniform(0.1, 0.3))
            assert found[name].wrong == []
            assert asked.total() <= CLIPS + AT_ONCE * found[name].kills
            asked.clear()
    assert found["killed"].kills >= 1
    assert found["killed"].outputs == found["quiet"].outputs
    assert found["killed"].summary == found["quiet"].summary
    marks = rows(committed(stand, path) / "marks.jsonl")
    assert [row["id"] for row in marks] == [f"clip-{n:04d}" for n in range(CLIPS)]
    assert all(row["value"] == 1 + n % 5 for n, row in enumerate(marks))
