"""The ledger: what attempts leave, and what is made of it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.cli.main import main
from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import Account, Entry, Placement, StageFile
from c2f_spec.store import ledger
from c2f_spec.store.ledger import split_hours, sum_hours
from c2f_spec.store.open import open_store
from runtime.process import accounting


def account(**fields) -> Account:
    base = {
        "user": "ada",
        "project": "sims",
        "plan": "p" * 64,
        "pool": "a800",
        "gpus": 4,
        "low": 1.0,
        "high": 9.0,
    }
    rest = {"basis": "estimated", "start_seconds": 750.0, "work_seconds": 3600.0, "shape": "grpo x"}
    return Account(**(base | rest | fields))


def entry(key: str = "k", *, attempt: str = "a", hours: float = 1.0, code: int = 0, **fields) -> Entry:
    """An attempt of four GPUs."""
    base = {"kind": "grpo", "key": key, "attempt": attempt, "started": "2026-11-22T06:00:00+00:00", "gpus": 4}
    rest = {
        "seconds": 900 * hours,
        "waited": 0.0,
        "committed": code == 0,
        "began": 0,
        "reached": 0,
        "saved": 0,
    }
    owner = fields.pop("account", account())
    return Entry(**(base | rest | {"code": code, "account": owner} | fields))


@pytest.fixture
def objects(tmp_path):
    return open_store(str(tmp_path / "store"))


def test_an_entry_is_written_once_and_read_by_month(objects):
    first, later = entry(), entry(attempt="b", started="2026-12-01T00:00:00+00:00")
    assert ledger.add(objects, first)
    assert not ledger.add(objects, first.model_copy(update={"seconds": 1.0}))
    assert ledger.add(objects, later)
    assert ledger.read(objects) == [first, later]
    assert ledger.read(objects, ["2026-12"]) == [later]
    assert ledger.read(objects, ["2025-01"]) == []


def test_a_damaged_entry_is_named(objects):
    objects.create("ledger/2026-11/grpo-k-a.json", b"{")
    with pytest.raises(Unreachable, match=r"ledger/2026-11/grpo-k-a\.json .* is damaged"):
        ledger.read(objects)


# ---- what an attempt leaves


def stage_file(objects, kind: str = "grpo") -> StageFile:
    ledger.charge(objects, {(kind, "k"): account()})
    return StageFile(
        kind=kind,
        key="k",
        name=f"{kind}-k",
        preimage={},
        store=objects.url,
        scratch="",
        placement={"gpus": 4},
    )


def test_an_attempt_that_stopped_says_what_it_saved(objects):
    objects.create("work/grpo/k/checkpoints/step-20/old/manifest.json", b"{}")
    begun = accounting.begin(stage_file(objects), objects, "new")
    assert begun.step == 20
    progress = {"done": 57, "total": 100, "unit": "steps", "time": begun.at + 60, "values": {}}
    objects.replace("work/grpo/k/progress.json", json.dumps(progress).encode())
    objects.create("work/grpo/k/checkpoints/step-40/new/manifest.json", b"{}")
    objects.create("work/grpo/k/checkpoints/step-60/new/weights.safetensors", b"torn: it has no manifest")
    accounting.end(stage_file(objects), objects, begun._replace(at=begun.at - 10), StageExit.STOPPED)
    (found,) = ledger.read(objects)
    assert (found.code, found.began, found.reached, found.saved, found.gpus) == (77, 20, 57, 40, 4)
    assert 10 <= found.seconds < 60
    assert not found.committed
    assert found.started.startswith(datetime.now(UTC).strftime("%Y-%m"))


def test_progress_of_an_earlier_attempt_is_not_its_own(objects):
    begun = accounting.begin(stage_file(objects), objects, "new")
    progress = {"done": 57, "total": 100, "unit": "steps", "time": begun.at - 60, "values": {}}
    objects.replace("work/grpo/k/progress.json", json.dumps(progress).encode())
    accounting.end(stage_file(objects), objects, begun, StageExit.TRANSIENT)
    assert ledger.read(objects)[0].reached == 0


def test_an_attempt_that_was_killed_is_entered_by_the_next_one(objects):
    """Up to its last sign of life, which the store has: its progress, or its log."""
    file = stage_file(objects)
    begun = accounting.begin(file, objects, "killed")
    progress = {"done": 57, "total": 100, "unit": "steps", "time": begun.at + 60, "values": {}}
    objects.replace("work/grpo/k/progress.json", json.dumps(progress).encode())
    objects.create("work/grpo/k/checkpoints/step-40/killed/manifest.json", b"{}")
    ledger.charge(objects, {("grpo", "k"): account(user="eve")})
    second = accounting.begin(file.model_copy(update={"placement": Placement()}), objects, "next")
    (found,) = ledger.read(objects)
    assert (found.attempt, found.code, found.seconds, found.gpus) == ("killed", 75, 60, 4)
    assert (found.reached, found.saved, found.account.user) == (57, 40, "ada")
    assert second.step == 40
    accounting.end(file, objects, second, StageExit.STOPPED)
    accounting.begin(file, objects, "third")
    assert sorted(e.attempt for e in ledger.read(objects)) == ["killed", "next"]


def test_what_nobody_launched_is_in_no_ledger_and_the_last_launch_pays(objects):
    file = stage_file(objects).model_copy(update={"key": "other"})
    accounting.end(file, objects, accounting.begin(file, objects, "a"), StageExit.STOPPED)
    assert ledger.read(objects) == []
    for user in ("ada", "eve"):
        ledger.charge(objects, {("grpo", "other"): account(user=user)})
    accounting.end(file, objects, accounting.begin(file, objects, "b"), StageExit.STOPPED)
    assert [e.account.user for e in ledger.read(objects)] == ["eve"]


def test_a_store_that_refuses_the_entry_is_told_of(objects, capsys, tmp_path):
    begun = accounting.begin(stage_file(objects), objects, "new")
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / "ledger").write_text("in the way")
    accounting.end(stage_file(objects), objects, begun, StageExit.BUG)
    assert "grpo-k: the ledger entry was not written: " in capsys.readouterr().out


def test_every_stage_of_a_run_is_in_the_ledger(c2f, repository, tiny_spec):
    """Whole: launched by the command, written by the runtime."""
    c2f("apply", "specs/tiny.yaml", "--no-report")
    entries = ledger.read(open_store(str(repository / ".c2f" / "store")))
    assert sorted(e.kind for e in entries) == ["distil", "filter", "prepare"]
    for found in entries:
        assert (found.code, found.committed, found.gpus, found.account.project) == (0, True, 0, "default")
        assert found.seconds >= found.waited > 0
        assert found.account.user


# ---- sums


@pytest.mark.parametrize(
    ("found", "done", "parts"),
    [
        (entry(hours=2, waited=900), True, (1, 0, 0, 1)),
        (entry(hours=2, committed=False), True, (0, 0, 2, 0)),  # another attempt was faster
        (entry(hours=2, code=77, began=20, reached=60, saved=40), False, (1, 0, 1, 0)),
        (entry(hours=2, code=75), True, (0, 0, 2, 0)),
        (entry(hours=2, code=70, began=0, reached=100, saved=75), True, (1.5, 0.5, 0, 0)),
        (entry(hours=2, code=72, began=0, reached=100, saved=75), False, (0, 2, 0, 0)),
        (entry(hours=2, gpus=0), True, (0, 0, 0, 0)),
    ],
)
def test_hours_of_an_attempt_are_used_failed_redone_or_waiting(found, done, parts):
    assert split_hours(found, done=done) == pytest.approx(parts)
    assert sum(parts) == pytest.approx(found.gpus * found.seconds / 3600)


@given(
    st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 64), st.sampled_from(list(StageExit)), st.booleans(),
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)).map(sorted),
)  # fmt: skip
def test_no_hour_is_lost_or_counted_twice(seconds, waited, gpus, code, done, steps):
    began, saved, reached = steps
    found = entry(code=int(code), gpus=gpus, waited=waited, began=began, saved=saved, reached=reached)
    parts = split_hours(found.model_copy(update={"seconds": seconds}), done=done)
    assert sum(parts) == pytest.approx(gpus * seconds / 3600)
    assert min(parts) >= -1e-9


def test_sums_are_by_whom_and_priced_by_pool():
    eve = account(user="eve", project="mosi", pool="cheap")
    found = [
        entry("x", attempt="a", hours=2, code=77),
        entry("x", attempt="b", hours=3),
        entry("y", hours=1, account=eve, started="2026-12-01T00:00:00+00:00"),
    ]
    sums = sum_hours(found, "user", {"a800": 10.0})
    assert {w: (s.stages, s.attempts, s.gpu_hours, s.redone, s.price) for w, s in sums.items()} == {
        "ada": (1, 2, 5.0, 2.0, 50.0),
        "eve": (1, 1, 1.0, 0.0, 0.0),
    }
    assert list(sum_hours(found, "project", {})) == ["mosi", "sims"]
    assert list(sum_hours(found, "month", {})) == ["2026-11", "2026-12"]


def test_usage_prints_the_ledger_of_a_store(repository, capsys):
    store = open_store(str(repository / ".c2f" / "store"))
    for each in (entry("x", attempt="a", hours=2, code=77), entry("x", attempt="b", hours=3, waited=360)):
        ledger.add(store, each)
    assert main(["usage"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["USER", "STAGES", "ATTEMPTS", "HOURS", "GPU-HOURS", "USED", "FAILED", "REDONE",
                            "WAITING", "WASTED"]  # fmt: skip
    assert row.split() == ["ada", "1", "2", "1.25", "5.00", "2.60", "0.00", "2.00", "0.40", "48%"]
    assert main(["usage", "--by", "month", "--month", "2026-11", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sums"]["2026-11"]["gpu_hours"] == 5
    assert main(["usage", "--month", "2020-01"]) == 0
    assert "is empty in these months" in capsys.readouterr().out
    assert main(["usage", "--month", "November"]) == 64
