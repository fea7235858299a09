"""Programs of pods: commit a record at once, fail as a test says, or run as a process."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS
from tests.fake_api.jobs import Ending
from tests.support.plain_node import files_of, process_of


def stage_of(state, pod):
    """Return the stage file that a pod mounts."""
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
        maps = {m["metadata"]["name"]: files_of(m) for m in self.state.all(CONFIGMAPS, namespace)}
        index = int(pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", 0))
        home = self.folder / name
        command, env = process_of(job, maps, home, index=index, secrets={})
        env |= {"C2F_POD": name, "C2F_POD_UID": pod["metadata"]["uid"]}
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=home, env={**env, **self.environment}, stdout=log, stderr=subprocess.STDOUT
            )
            self.running[name] = process
            gone = False
            while process.poll() is None:
                gone = gone or not self._there(pod)
                if gone or stopped.wait(0.05):
                    process.terminate()
                    process.wait(timeout=60)
        del self.running[name]
        code = 128 - process.returncode if process.returncode < 0 else process.returncode
        return Ending(code, disrupted=gone)

    def _there(self, pod):
        """Return true if the pod was neither deleted nor evicted."""
        metadata = pod["metadata"]
        kept = self.state.objects.get(PODS, {}).get((metadata["namespace"], metadata["name"]))
        return kept is not None and kept["metadata"]["uid"] == metadata["uid"]

    def log(self, _namespace, pod, query):
        """Yield lines of a pod's log, for `FakeApi.logs`; until it ends, if it is followed."""
        path = self.folder / pod / "log"
        if query.get("follow") != "true":
            lines = path.read_text(errors="replace").splitlines()
            yield from lines[-int(query["tailLines"]) :] if query.get("tailLines") else lines
            return
        with path.open(errors="replace") as file:
            while line := file.readline() or (self.running.get(pod) and "\n"):
                if line != "\n":
                    yield line.rstrip("\n")
                else:
                    time.sleep(0.1)


def commit(objects, kind, key):
    """Commit a record of a stage with one small file."""
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
