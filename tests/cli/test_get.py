"""`get`: what stages left, as files of one's own."""

from __future__ import annotations

import json

import pytest

from c2f_spec.cli.main import main
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.open import open_store
from tests.conftest import TINY_SPEC


@pytest.fixture
def prepared(c2f, repository):
    """A plan of which one stage is done, and the key of that one."""
    (repository / "specs" / "tiny.yaml").write_text(TINY_SPEC)
    c2f("apply", "specs/tiny.yaml", "--no-report", "--until", "prepare")
    return next(
        s
        for s in json.loads(c2f("plan", "specs/tiny.yaml", "-o", "json").stdout)["stages"]
        if s["kind"] == "prepare"
    )["key"]


def test_copies_are_whole_and_nothing_is_written_over(repository, prepared, capsys):
    assert main(["get", "specs/tiny.yaml", "--to", "mine"]) == 4, "the others are not done"
    lines = capsys.readouterr().out.splitlines()
    folder = repository / "mine" / f"prepare-{prepared[:10]}"
    assert lines[0].startswith(f"mine/{folder.name}  prepare icwsm2014-movie: ")
    assert all(line.endswith(": not done") for line in lines[1:])
    record = records.read_record(open_store(str(repository / ".c2f" / "store")), "prepare", prepared)
    assert digest_folder(folder) == {
        n: e.model_copy(update={"shard": None, "offset": None}) for n, e in record.files.items()
    }

    assert main(["get", "specs/tiny.yaml", "prepare", "--to", "mine"]) == 0
    assert capsys.readouterr().out.endswith(": unchanged\n")

    (folder / "manifest.jsonl").write_text("mine")
    assert main(["get", "specs/tiny.yaml", "prepare", "--to", "mine"]) == 64
    assert "has other files than this stage" in capsys.readouterr().err
    assert (folder / "manifest.jsonl").read_text() == "mine"
