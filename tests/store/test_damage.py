"""One changed byte in any stored file: whoever reads it says so, and says which it is."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from c2f_spec.errors import C2fError
from c2f_spec.plan.plan_file import from_json
from c2f_spec.store import ledger, records
from c2f_spec.store.digest import read_sealed
from c2f_spec.store.open import open_store
from runtime.process.units import _read_unit

ADVISORY = (
    "progress.json",
    "lease.json",
    "running.json",
    "account.json",
    "/logs/",
    "launch.log",
    "reports/",
    "/lock",
    "/stage.json",
    "tracked.json",
)
"""They may be lost: no result hangs on them, and what cannot be read counts as not told."""


def read(objects, name: str) -> None:
    """Read an object as the product does."""
    top, kind, *rest = name.split("/")
    key = rest[0].removesuffix(".json") if rest else ""
    if top == "records":
        records.read_record(objects, kind, key)
    elif top == "preimages":
        assert records.read_preimages(objects, kind, [key]), f"{name}: it is not what its key is the hash of"
    elif top == "work" and "/attempts/" in name:
        records.verify(objects, records.read_record(objects, kind, rest[0]))
    elif top == "work" and "/units/" in name:
        units = list(objects.names(name.rpartition("/")[0]))
        _read_unit(objects, units.index(name), name, objects.read(name))
    elif top == "datasets":
        records.fetch_dataset(objects, kind, rest[0])
    elif top == "ledger":
        ledger.read(objects)
    elif top == "failures":
        records.read_failures(objects, kind, rest[0])
    elif top == "plans":
        from_json(objects.read(name), name)
    elif top == "provenance":
        read_sealed(objects, name, "")
    else:
        raise LookupError(f"no reader of {name} is known here")


def test_every_kind_of_file(c2f, repository, tiny_spec, monkeypatch):
    monkeypatch.setenv("C2F_HOME", str(repository / "home"))
    c2f("apply", str(tiny_spec.relative_to(repository)), "--no-report")
    objects = open_store(str(repository / ".c2f" / "store"))
    records.add_failure(objects, "sft", "k", {"code": 70, "message": "a bug"})
    numbers, seen = random.Random(7), {}
    every = [p.relative_to(objects.root).as_posix() for p in sorted(objects.root.rglob("*")) if p.is_file()]
    for name in every:
        if not any(word in name for word in ADVISORY) and not name.endswith(".part"):
            seen.setdefault(kind_of(name), name)
    assert len(seen) >= 9, seen
    for name in seen.values():
        path = Path(objects.root) / name
        whole = path.read_bytes()
        for _ in range(5 if whole else 0):
            place, bit = numbers.randrange(len(whole)), 1 << numbers.randrange(8)
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            told = complaint(objects, name)
            assert Path(name).stem in told, f"bit {bit} of byte {place} of {name}: {told or 'nobody noticed'}"
        path.write_bytes(whole)
        read(objects, name)


def complaint(objects, name: str) -> str:
    try:
        read(objects, name)
    except (C2fError, AssertionError) as error:
        return str(error)
    return ""


def kind_of(name: str) -> str:
    """Names without what is particular: `work/prepare/attempts/*.mp4`."""
    parts = [p for p in name.split("/") if not re.fullmatch(r"[0-9a-f]{16,64}", p)]
    return "/".join([*parts[:-1], re.sub(r".*(\.[a-z0-9]+)$", r"*\1", parts[-1])])


def test_advisory_files_that_are_damaged_are_not_told(repository):
    objects = open_store(str(repository / ".c2f" / "store"))
    for text in (b"{", b"\xff\x00", json.dumps({"done": "x"}).encode(), b"[]"):
        objects.replace("work/sft/k/progress.json", text)
        assert records.read_progress(objects, "sft", "k") is None
