"""What a Job does when a pod ends: generated from the table of exit codes (`c2f_spec/errors.py`, DESIGN 7).

The first rule that fits holds. A disruption (drain, preemption, node loss) comes first and costs nothing, whatever the
process managed to say. Then the codes that mean the same end again, and the one of a stage that saved and stopped. The
rest (storage, network, hardware, the unknown) is counted against `backoffLimit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.errors import StageExit
from c2f_spec.targets.kubernetes.render.names import STAGE_CONTAINER

if TYPE_CHECKING:
    from c2f_spec.targets.kubernetes.render.features import Features

KILLED = 128 + 9
"""Of a pod that no disruption ended: memory ran out, and `71` could not be said any more."""


def pod_failure_policy(able: Features) -> dict[str, Any]:
    """Needs `restartPolicy: Never`. `status` must be said for servers up to 1.34."""
    fatal = sorted({*(int(code) for code in StageExit if code.permanent), KILLED})
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [disrupted]},
            on_codes("FailJob", STAGE_CONTAINER, fatal, able),
            on_codes("Ignore", STAGE_CONTAINER, [int(StageExit.STOPPED)], able),
        ]
    }


def on_codes(action: str, container: str, values: list[int], able: Features) -> dict[str, Any]:
    """A rule for exit codes of one container."""
    named = {"containerName": container, "operator": "In", "values": values}
    conditions: dict[str, Any] = {} if able.rules_without_conditions else {"onPodConditions": []}
    return {"action": action, "onExitCodes": named, **conditions}
