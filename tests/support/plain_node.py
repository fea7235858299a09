"""A node that runs the commands of pods as plain processes: no containers, no mounts.

ConfigMaps become files, volumes become folders, and wherever a mount's path begins an argument or a variable, the
folder stands instead. So a pod's program must take every path from there and assume none.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SHARED = ("/tmp", "/dev/shm")
"""Of the machine: they are there without a mount."""


def run_job(
    objects: list[dict[str, Any]], folder: Path, *, index: int = 0, secrets: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the one pod of a Job (or the one with `index`) to its end, in `folder`."""
    job = next(o for o in objects if o["kind"] == "Job")
    maps = {o["metadata"]["name"]: files_of(o) for o in objects if o["kind"] == "ConfigMap"}
    command, env = process_of(job, maps, folder, index=index, secrets=secrets or {})
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
    )


def files_of(config_map: dict[str, Any]) -> dict[str, bytes]:
    """What a mounted ConfigMap is."""
    texts = {name: text.encode() for name, text in config_map.get("data", {}).items()}
    return texts | {n: base64.b64decode(t) for n, t in config_map.get("binaryData", {}).items()}


def process_of(
    job: dict[str, Any],
    maps: dict[str, dict[str, bytes]],
    folder: Path,
    *,
    index: int = 0,
    secrets: dict[str, str],
) -> tuple[list[str], dict[str, str]]:
    """The command of a Job's pod and its environment; its volumes are made in `folder`. `maps` are ConfigMaps."""
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    places = {}
    for volume in pod["volumes"]:
        places[volume["name"]] = place = folder / volume["name"]
        place.mkdir(parents=True, exist_ok=True)
        for name, data in maps.get(volume.get("configMap", {}).get("name"), {}).items():
            (place / name).write_bytes(data)
    mounts = [m for m in container["volumeMounts"] if m["mountPath"] not in SHARED]
    paths = {m["mountPath"]: str(places[m["name"]]) for m in mounts}
    env = {e["name"]: moved(value_of(e, job, secrets), paths) for e in container["env"]}
    if job["spec"].get("completionMode") == "Indexed":
        env["JOB_COMPLETION_INDEX"] = str(index)
    command = [moved(expanded(word), paths) for word in container["command"]]
    interpreter = sys.executable if command[0] == "python3" else command[0]
    return [interpreter, *command[1:]], {"PATH": os.environ["PATH"], **env}


def value_of(variable: dict[str, Any], job: dict[str, Any], secrets: dict[str, str]) -> str:
    """What the kubelet would give."""
    if "value" in variable:
        return expanded(variable["value"])
    source = variable["valueFrom"]
    if "secretKeyRef" in source:
        return secrets[variable["name"]]
    fields = {
        "metadata.name": f"{job['metadata']['name']}-0",
        "metadata.uid": "uid",
        "spec.nodeName": "plain",
    }
    return fields[source["fieldRef"]["fieldPath"]]


def expanded(text: str) -> str:
    """`$$` is one `$`; nothing that we render refers to a variable."""
    return text.replace("$$", "$")


def moved(text: str, paths: dict[str, str]) -> str:
    """`text` with the folder of a mount in place of its path."""
    for mount, place in paths.items():
        if text == mount or text.startswith(f"{mount}/"):
            return place + text[len(mount) :]
    return text
