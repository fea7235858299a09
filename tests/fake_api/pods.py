"""What pods do when the fake runs them: commit at once, or fail as a test wants."""

from __future__ import annotations

import json
import subprocess
import tempfile
import uuid
from collections import Counter
from pathlib import Path

from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.targets.kubernetes.resources import CONFIGMAPS, JOBS
from tests.fake_api.jobs import Ending
from tests.plain_node import process_of


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


class Processes:
    """Pods that are plain processes, drivers included: what a real cluster would run, without containers.

    `environment` is added to each, as a way to the cluster for those without a mounted service account.
    """

    def __init__(self, state, folder, environment=None) -> None:
        self.state, self.folder, self.environment = state, folder, environment or {}
        self.running = {}
        """Process by name of its pod."""

    def __call__(self, pod, stopped):
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        job = self.state.get(JOBS, namespace, pod["metadata"]["labels"]["job-name"])
        maps = {m["metadata"]["name"]: m.get("data", {}) for m in self.state.all(CONFIGMAPS, namespace)}
        index = int(pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", 0))
        home = self.folder / name
        command, env = process_of(job, maps, home, index=index, secrets={})
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=home, env={**env, **self.environment}, stdout=log, stderr=subprocess.STDOUT
            )
            self.running[name] = process
            while process.poll() is None:
                if stopped.wait(0.05):
                    process.terminate()
                    process.wait(timeout=60)
        del self.running[name]
        return Ending(128 - process.returncode if process.returncode < 0 else process.returncode)

    def log(self, _namespace, pod, query):
        """Lines of a pod's log, for `FakeApi.logs`."""
        lines = (self.folder / pod / "log").read_text(errors="replace").splitlines()
        return lines[-int(query["tailLines"]) :] if query.get("tailLines") else lines


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
