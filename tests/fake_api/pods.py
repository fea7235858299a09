"""What pods do when the fake runs them: commit at once, or fail as a test wants."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections import Counter
from pathlib import Path

from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.targets.kubernetes.resources import CONFIGMAPS
from tests.fake_api.jobs import Ending


def stage_of(state, pod):
    """The stage file that a pod mounts."""
    job = pod["metadata"]["labels"]["job-name"]
    return json.loads(state.get(CONFIGMAPS, pod["metadata"]["namespace"], job)["data"]["stage.json"])


class Instant:
    """Pods that compute nothing: each commits a record for its stage, unless `ends` has something else for it.

    `ends` are lists of endings by kind of stage, used up from the front. `seconds` is how long a pod takes.
    """

    def __init__(self, state, objects, *, ends=None, seconds=0.0) -> None:
        self.state, self.objects, self.ends, self.seconds = state, objects, ends or {}, seconds
        self.ran = Counter()
        """Pods by key of their stage."""
        self.early = []
        """Stages that ran before one of their inputs was committed."""

    def __call__(self, pod, stopped):
        stage = stage_of(self.state, pod)
        self.ran[stage["key"]] += 1
        for given in stage["inputs"].values():
            if not self.objects.exists(records.record_name(given["kind"], given["key"])):
                self.early.append(stage["name"])
        if stopped.wait(self.seconds):
            return Ending(77)
        ends = self.ends.get(stage["kind"])
        if ends:
            return ends.pop(0)
        commit(self.objects, stage["kind"], stage["key"])
        return Ending(0)


def commit(objects, kind, key):
    """A record of a stage that made one small file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "output"
        folder.mkdir()
        (folder / "result.json").write_text("{}")
        record = Record(
            kind=kind,
            key=key,
            attempt=uuid.uuid4().hex,
            nonce=uuid.uuid4().hex,
            files=digest_folder(folder),
            summary={},
            provenance={},
        )
        records.commit(objects, record, folder)
