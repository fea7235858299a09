"""Units: shared by shards, resumed after a stop, made once, and noticed when damaged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import runtime.process.context
from c2f_spec.errors import Damaged
from c2f_spec.spec.handoff import Placement, StageFile
from c2f_spec.store.open import open_store
from runtime.process.context import Context
from runtime.process.units import UNIT, run_units

IDS = [f"clip-{n}" for n in range(3 * UNIT + 5)]


def context(root, shards=1):
    known = {"kind": "distil", "key": "k" * 64, "name": "d", "preimage": {}}
    stage = StageFile(**known, placement=Placement(shards=shards), store=str(root), scratch="")
    return Context(stage, {}, root, open_store(str(root)))


def each(make):
    """`make` for one unit after the other."""
    return lambda units: ((number, make(number, ids)) for number, ids in units.items())


def rows_of(unit, ids):
    return [{"id": clip, "unit": unit, "text": f"“{clip}”\u2028 好"} for clip in ids]


rows = each(rows_of)


class Killed(BaseException):
    pass


def test_all_rows_are_in_order_and_no_unit_is_computed_twice(tmp_path):
    made = []

    def make(unit, ids):
        made.append(unit)
        return rows_of(unit, ids)

    first = run_units(context(tmp_path), IDS, each(make))
    assert [row["id"] for row in first] == IDS
    assert run_units(context(tmp_path), IDS, each(make)) == first
    assert made == [0, 1, 2, 3]


def test_clips_of_a_unit_that_is_not_whole_count_as_done(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime.process.context, "PROGRESS_SECONDS", (0.0, 0.0))
    ctx, done_clips = context(tmp_path), []

    def make(units):
        for number, ids in units.items():
            for more in (3, 0, 2):
                yield number, more
                progress = ctx.store.read(f"work/distil/{'k' * 64}/progress.json")
                done_clips.append(json.loads(progress)["done"])
            yield number, rows_of(number, ids)

    run_units(ctx, IDS[: UNIT + 10], make)
    assert done_clips == [3, 3, 5, UNIT + 3, UNIT + 3, UNIT + 5]


@given(
    shards=st.integers(1, 6), order=st.permutations(range(6)), deaths=st.lists(st.integers(0, 4), max_size=4)
)
@settings(max_examples=40, deadline=None)
def test_shards_in_any_order_with_deaths_make_the_same_rows_and_one_sees_the_whole(
    tmp_path_factory, shards, order, deaths
):
    root, alone = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("alone")
    expected = run_units(context(alone), IDS, rows)
    answered = []

    def make(unit, ids):
        if deaths and deaths.pop() == unit:
            raise Killed
        answered.append(unit)
        return rows_of(unit, ids)

    results = []
    with pytest.MonkeyPatch.context() as patch:
        for number in (n for n in order if n < shards):
            patch.setenv("JOB_COMPLETION_INDEX", str(number))
            while True:
                try:
                    results.append(run_units(context(root, shards), IDS, each(make)))
                    break
                except Killed:
                    continue
    assert results[-1] == expected
    assert all(result in (None, expected) for result in results)
    assert sorted(answered) == [0, 1, 2, 3]


def test_two_at_one_unit_end_with_one_result(tmp_path):
    """The slower one's rows are thrown away."""

    def overtaken(unit, ids):
        run_units(context(tmp_path), IDS[:10], rows)
        return [{"id": "late"}]

    assert run_units(context(tmp_path), IDS[:10], each(overtaken)) == rows_of(0, IDS[:10])


@pytest.mark.parametrize("at", [3, 60, 200])
def test_a_damaged_unit_is_named(tmp_path, at):
    run_units(context(tmp_path), IDS, rows)
    path = next(tmp_path.rglob("00001.jsonl"))
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"units/00001\.jsonl was changed") as caught:
        run_units(context(tmp_path), IDS, rows)
    assert "remove it" in caught.value.hint
