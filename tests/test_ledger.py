"""The ledger: what attempts leave, and what is made of it."""

import json
from datetime import UTC, datetime

import pytest

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import StageFile
from c2f_spec.spec.ledger import Account, Entry
from c2f_spec.store import ledger
from c2f_spec.store.objects import open_objects
from runtime import accounting


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
    return open_objects(str(tmp_path / "store"))


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
    return StageFile(
        kind=kind, key="k", name=f"{kind}-k", preimage={}, store=objects.url, scratch="", account=account(),
        placement={"gpus": 4},
    )  # fmt: skip


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


def test_a_store_that_refuses_the_entry_is_told_of(objects, capsys, tmp_path):
    begun = accounting.begin(stage_file(objects), objects, "new")
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / "ledger").write_text("in the way")
    accounting.end(stage_file(objects), objects, begun, StageExit.BUG)
    assert "grpo-k: not in the ledger: " in capsys.readouterr().out


def test_every_stage_of_a_run_is_in_the_ledger(c2f, repository, tiny_spec):
    """Whole: launched by the command, written by the runtime."""
    c2f("apply", "specs/tiny.yaml", "--no-report")
    entries = ledger.read(open_objects(str(repository / ".c2f" / "store")))
    assert sorted(e.kind for e in entries) == ["distil", "filter", "prepare"]
    for found in entries:
        assert (found.code, found.committed, found.gpus, found.account.project) == (0, True, 0, "default")
        assert found.seconds >= found.waited > 0
        assert found.account.user
