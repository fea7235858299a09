"""`gc` on every kind of store: what is reached can still be read, and the rest is gone."""

import time

from c2f_spec.keys import content_key
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.gc import MIN_AGE_SECONDS, Reachable, find_garbage, remove

NEEDED, OTHER = content_key("needed"), content_key("other")


def done(objects, folder, key, attempt):
    """A committed output of many small files, which travel packed."""
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.txt").write_text(f"{key}{i}")
    files = digest_folder(folder)
    record = Record(
        kind="prepare", key=key, attempt=attempt, nonce=attempt, files=files, summary={}, provenance={}
    )
    records.commit(objects, record, folder)


def test_what_is_reached_stays_and_the_rest_goes(objects, tmp_path):
    done(objects, tmp_path / "a", NEEDED, "a1")
    done(objects, tmp_path / "b", NEEDED, "a2")  # came second
    done(objects, tmp_path / "c", OTHER, "a1")
    objects.create(f"work/prepare/{NEEDED}/units/00000.jsonl", b"x")
    objects.create("datasets/x/1/dataset.json", b"{}")
    reached = Reachable(frozenset({NEEDED}), frozenset())
    assert find_garbage(objects, reached) == [], "all of it is fresh"
    found = find_garbage(objects, reached, time.time() + 2 * MIN_AGE_SECONDS)
    assert {i.name for i in found} == {
        f"prepare {OTHER}",
        f"work/prepare/{NEEDED}/attempts/a2",
        f"work/prepare/{NEEDED}/units",
        "datasets/x/1",
    }
    for item in found:
        remove(objects, item)
    assert find_garbage(objects, reached, time.time() + 2 * MIN_AGE_SECONDS) == []
    record = records.read_record(objects, "prepare", NEEDED)
    assert (records.fetch(objects, record) / "39.txt").read_text() == f"{NEEDED}39"
    assert records.read_record(objects, "prepare", OTHER) is None
