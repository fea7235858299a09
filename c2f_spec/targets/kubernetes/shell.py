"""The Job of `shell STAGE`: the stage's own pod, with the same image, node pool, inputs and variables, asleep.

Pure. What differs from the stage's Job: it runs `runtime.shell` instead of the stage, it ends after two hours and goes
ten minutes later, and it is nobody's stage: the driver does not see it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from c2f_spec.targets.kubernetes.render import names
from c2f_spec.targets.kubernetes.render.stage import prepare, with_digest

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Stage

SECONDS = 2 * 3600
GONE_AFTER_SECONDS = 600
COMPONENT = "app.kubernetes.io/component"


def shell_objects(plan: Plan, stage: Stage) -> list[dict[str, Any]]:
    """Its ConfigMap and its Job, named `shell-<stage>`."""
    found = {item["kind"]: copy.deepcopy(item) for item in prepare(plan, stage)}
    name = f"shell-{stage.name}"
    config, job = found["ConfigMap"], found["Job"]
    before = job["metadata"]["name"]
    for metadata in (config["metadata"], job["metadata"], job["spec"]["template"]["metadata"]):
        metadata["labels"] = {**metadata.get("labels", {}), COMPONENT: "shell"}
    for item in (config, job):
        item["metadata"]["name"] = name
        item["metadata"].get("annotations", {}).pop(names.DIGEST, None)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    for key in (
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "completionMode",
        "completions",
        "parallelism",
    ):
        spec.pop(key, None)  # one pod, whatever the stage has
    pod.pop("subdomain", None)
    spec |= {
        "backoffLimit": 0,
        "activeDeadlineSeconds": SECONDS,
        "ttlSecondsAfterFinished": GONE_AFTER_SECONDS,
    }
    for volume in pod.get("volumes", ()):
        if volume.get("configMap", {}).get("name") == before:
            volume["configMap"]["name"] = name
    container = next(c for c in pod["containers"] if c["name"] == names.STAGE_CONTAINER)
    assert container["command"][-1] == "runtime", "the last word of a stage's command is the module"
    container["command"] = [*container["command"][:-1], "runtime.shell"]
    return [with_digest(config), with_digest(job)]


def enter(namespace: str, stage: Stage) -> str:
    """The command that enters it."""
    return f"kubectl exec -it -n {namespace} job/shell-{stage.name} -c {names.STAGE_CONTAINER} -- bash"
