"""Names, labels and annotations of the objects, and the selectors that find them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "c2f-spec"
COMPONENT = "app.kubernetes.io/component"
"""Label: `stage`, `plan`, `driver`, `bundle` or `shell`."""
JOB_NAME = "batch.kubernetes.io/job-name"
"""Label that the Job controller gives to pods."""
KIND = "c2f-spec/kind"
"""Label: kind of a stage."""
SHORT_KEY = "c2f-spec/key10"
"""Label: the start of a stage's key, because a label holds 63 characters and a key has 64."""
PLAN = "c2f-spec/plan"
"""Label of the objects of a plan: the start of its digest."""
KEY = "c2f-spec/key"
"""Annotation: the whole key. A Job of the same name and another key is another stage's."""
LABEL = "c2f-spec/label"
"""Annotation: the name of the stage for people."""
DIGEST = "c2f-spec/digest"
"""Annotation: SHA-256 of an object as rendered. An object with the same digest on the server is not sent again."""
STAGE_CONTAINER = "stage"
"""The container whose exit code decides (`job_shapes.py`)."""
DRIVER_CONTAINER = "driver"
VLLM_CONTAINER = "vllm"

OURS = f"{MANAGED_BY}={MANAGER}"
"""Selector of every object of c2f-spec."""
STAGES = f"{OURS},{COMPONENT}=stage"
PLANS = f"{OURS},{COMPONENT}=plan"
DRIVERS = f"{OURS},{COMPONENT}=driver"


def job_name(stage: Stage, retries: int) -> str:
    """Return `sft-096a48becb-r0`, derived from the content; `retries` counts the requests for a retry.

    It has at most 52 characters: with `-<index>-<5 characters>` it is a host name, which DNS limits to 63.
    """
    return f"{stage.kind}-{stage.key[:10]}-r{retries}"


def driver_name(digest: str) -> str:
    """Return the name of the driver's Job of a plan."""
    return f"driver-{digest[:10]}"


def plan_name(digest: str) -> str:
    """Return the name of the ConfigMap that says where a running plan is stored, and which stages it needs."""
    return f"plan-{digest[:10]}"


def stage_labels(stage: Stage) -> dict[str, str]:
    """Return the labels of the objects of a stage. They name no plan: plans share stages, byte for byte."""
    return {
        "app.kubernetes.io/name": "c2f-spec",
        COMPONENT: "stage",
        "app.kubernetes.io/instance": stage.name,
        MANAGED_BY: MANAGER,
        KIND: stage.kind,
        SHORT_KEY: stage.key[:10],
    }


def plan_labels(digest: str, component: str) -> dict[str, str]:
    """Return the labels of the objects of a plan: its ConfigMap (`plan`), driver (`driver`) and `bundle`."""
    return {
        "app.kubernetes.io/name": "c2f-spec",
        COMPONENT: component,
        "app.kubernetes.io/instance": f"{component}-{digest[:10]}",
        MANAGED_BY: MANAGER,
        PLAN: digest[:10],
    }
