"""Stages run in this process, in a folder of their own."""

from __future__ import annotations

import json

from c2f_spec.spec.filters import NAMES
from c2f_spec.spec.handoff import Placement, StageFile
from c2f_spec.store.open import open_store
from runtime.process.context import Context
from runtime.text.clips import write_manifest

ALL_OFF = dict.fromkeys(NAMES)
"""`filters` that turn every filter off, to begin with."""


def run_stage(stage, out, inputs, *, placement=None, **spec):
    """Run the module of a stage into the folder `out`, beside which its store is; return its summary and context."""
    out.mkdir(parents=True, exist_ok=True)
    file = StageFile(
        kind=stage.__name__.rsplit(".", 1)[1], key="0" * 64, name="x", preimage={"spec": spec},
        placement=placement or Placement(), store=str(out.parent / "store"), scratch=str(out.parent),
    )  # fmt: skip
    ctx = Context(file, inputs, out, open_store(file.store))
    return stage.run(ctx), ctx


def write_prepared(folder, clips):
    """Write the manifest and the facts of a data set of English clips as the stage `prepare` does."""
    folder.mkdir(exist_ok=True)
    write_manifest(folder, clips)
    facts = {"name": "d", "language": "en", "low": -3.0, "high": 3.0, "family": "mosi"}
    (folder / "dataset.json").write_text(json.dumps(facts))
