"""What our objects are called and how they are found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "c2f-spec"
KIND = "c2f-spec/kind"
"""Label: kind of a stage."""
SHORT_KEY = "c2f-spec/key10"
"""Label: the start of a stage's key, because a label holds 63 characters and a key has 64."""
PLAN = "c2f-spec/plan"
"""Label of what belongs to a plan: the start of its digest."""
KEY = "c2f-spec/key"
"""Annotation: the whole key. A Job of the same name and another key is another stage's."""
LABEL = "c2f-spec/label"
"""Annotation: the stage in words."""
DIGEST = "c2f-spec/digest"
"""Annotation: SHA-256 of an object as rendered. Equal on the server: there is nothing to send."""
STAGE_CONTAINER = "stage"
"""Its exit code decides (`failure.py`)."""
DRIVER_CONTAINER = "driver"
VLLM_CONTAINER = "vllm"

LONGEST = 52
"""A Job's name plus `-<index>-<5 characters>` is a pod's host name, which DNS bounds at 63."""


def job_name(stage: Stage, retries: int) -> str:
    """`sft-096a48becb-r0`: content-derived, so applying twice makes one; `retries` is how often `retry` was asked."""
    return f"{stage.kind}-{stage.key[:10]}-r{retries}"


def driver_name(digest: str) -> str:
    """The driver's Job of a plan."""
    return f"driver-{digest[:10]}"


def plan_name(digest: str) -> str:
    """The ConfigMap that says a plan is running: where it is stored, and which stages it needs."""
    return f"plan-{digest[:10]}"


def stage_labels(stage: Stage) -> dict[str, str]:
    """Of everything that one stage has. Nothing of a plan: plans share stages, and their bytes must not differ."""
    return {
        "app.kubernetes.io/name": "c2f-spec",
        "app.kubernetes.io/component": "stage",
        "app.kubernetes.io/instance": stage.name,
        MANAGED_BY: MANAGER,
        KIND: stage.kind,
        SHORT_KEY: stage.key[:10],
    }


def plan_labels(digest: str, component: str) -> dict[str, str]:
    """Of what belongs to a plan: its ConfigMap (`plan`) and its driver (`driver`)."""
    return {
        "app.kubernetes.io/name": "c2f-spec",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": f"{component}-{digest[:10]}",
        MANAGED_BY: MANAGER,
        PLAN: digest[:10],
    }
