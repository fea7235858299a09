"""What the cluster says, in words: messages as kubelet, scheduler, admission, Kueue and Volcano write them."""

from __future__ import annotations

import pytest

from c2f_spec.errors import MEANING, REMEDY, StageExit
from c2f_spec.targets.base import Phase
from c2f_spec.targets.kubernetes.status import pending, stage_status, termination
from c2f_spec.targets.kubernetes.status.pending import StageObjects

PREEMPTION = " preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("message", "words", "way_out"),
    [
        (
            "0/5 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "4 Insufficient nvidia.com/gpu." + PREEMPTION,
            ("no node of 5 fits: 4 with insufficient free GPUs, 1 with the taint node-role.kubernetes.io/control-plane, "
            "which the pool does not tolerate"),
            "compare `gpus` of the pool",
        ),
        (
            ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are "
            "available: 3 Preemption is not helpful for scheduling."),
            "no node of 3 fits: 3 not of the pool, or avoided (node selector and affinity)",
            "`node_selector` of the pool",
        ),
        (
            "0/17 nodes are available: 17 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/17",
            "no node of 17 fits: 17 with a taint that the pool does not tolerate",
            "toleration",
        ),
        (
            ("0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable. "
            "no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."),
            ("no node of 2 fits: 1 with insufficient free cpu, 1 with insufficient free memory, "
            "1 closed for maintenance (cordoned)"),
            "lower `cpu` of the pool",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "c2f-cache" not found. preemption: 0/1',
            "volume claim `c2f-cache` not found",
            "create it",
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1",
            "its volume claim is not bound to a volume yet",
            "kubectl describe pvc",
        ),
        ("no nodes available to schedule pods", "the cluster has no nodes", "add nodes"),
        ("0/4 nodes are available: 4 node(s) had a brand new reason.", "no node of 4 fits: 4 node(s) had a brand new reason", ""),
        ("something else entirely", "unschedulable: something else entirely", ""),
    ],
)  # fmt: skip
def test_the_schedulers_word(message, words, way_out):
    why = pending.explain_unschedulable(message)
    assert why.text == words
    assert way_out in why.remedy


@pytest.mark.parametrize(
    ("reason", "message", "words", "stuck"),
    [
        ("ContainerCreating", "", "creating its containers", False),
        (
            "ImagePullBackOff",
            ('Back-off pulling image "r.example/c2f@sha256:1": ErrImagePull: rpc error: code = NotFound desc = '
            'failed to pull and unpack image "r.example/c2f@sha256:1": not found'),
            "image `r.example/c2f@sha256:1` not found",
            True,
        ),
        (
            "ErrImagePull",
            ("failed to pull image: pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed"),
            "permission denied by the registry for image `r.example/c2f@sha256:1`",
            True,
        ),
        (
            "ErrImagePull",
            'Get "https://r.example/v2/": dial tcp: lookup r.example: no such host',
            "cannot reach the registry",
            False,
        ),
        ("InvalidImageName", 'couldn\'t parse image name "UPPER/x": invalid reference format', "cannot be pulled", True),
        ("CreateContainerConfigError", 'secret "c2f-s3" not found', "Secret `c2f-s3` not found", True),
        (
            "CreateContainerConfigError",
            "couldn't find key AWS_SECRET_ACCESS_KEY in Secret c2f/c2f-s3",
            "key `AWS_SECRET_ACCESS_KEY` not found in the Secret `c2f-s3`",
            True,
        ),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: ..., container: main)",
            "runs as root",
            True,
        ),
        ("CreateContainerError", "context deadline exceeded", "CreateContainerError: context deadline exceeded", True),
    ],
)  # fmt: skip
def test_a_container_that_waits(reason, message, words, stuck):
    why = pending.explain_waiting_container(reason, message, "r.example/c2f@sha256:1")
    assert words in why.text
    assert why.stuck is stuck


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        (
            "FailedCreate",
            ('Error creating: pods "grpo-x-0-abc" is forbidden: violates PodSecurity "restricted:latest": '
            'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false)'),
            "Pod Security `restricted:latest` forbids its pods: allowPrivilegeEscalation != false",
        ),
        (
            "FailedCreate",
            ('Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8, '
            "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8"),
            "exceeds quota `gpus` of the namespace: requests requests.nvidia.com/gpu=8",
        ),
        (
            "FailedCreate",
            ('Error creating: pods "x" is forbidden: error looking up service account c2f/c2f-stage: '
            'serviceaccount "c2f-stage" not found'),
            "service account `c2f-stage` not found",
        ),
        (
            "FailedCreate",
            'Error creating: pods "x" is forbidden: no PriorityClass with name c2f-high was found',
            "priority class `c2f-high` not found",
        ),
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "stage" : configmap "grpo-0123456789-r0" not found',
            "ConfigMap `grpo-0123456789-r0` not found",
        ),
        (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[cache], unattached volumes=[]: timed out waiting for the condition",
            "volume cannot be mounted",
        ),
        ("FailedCreatePodSandBox", "failed to setup network for sandbox", "cannot create a pod sandbox"),
    ],
)  # fmt: skip
def test_a_warning_event(reason, message, words):
    why = pending.explain_event(reason, message)
    assert why is not None
    assert words in why.text


def test_an_event_of_no_consequence_says_nothing():
    assert pending.explain_event("Unhealthy", "Startup probe failed") is None


def workload(reason: str, message: str, **more):
    reserved = {"type": "QuotaReserved", "status": "False", "reason": reason, "message": message}
    return {"spec": {}, "status": {"conditions": [reserved, *more.get("conditions", [])]}}


FLAVORS = "couldn't assign flavors to pod set main: "


@pytest.mark.parametrize(
    ("found", "words", "stuck"),
    [
        ({"spec": {}, "status": {}}, "waiting for the queue", False),
        (
            workload("Pending", f"{FLAVORS}insufficient unused quota for nvidia.com/gpu in flavor a800, 4 more needed"),
            "waiting for quota: 4 more nvidia.com/gpu of flavor a800",
            False,
        ),
        (
            workload("Pending", f"{FLAVORS}insufficient quota for nvidia.com/gpu in flavor a800, request > maximum capacity (16 > 8)"),
            "requests more nvidia.com/gpu than the maximum of its queue: 8 of flavor a800",
            True,
        ),
        (
            workload(
                "Pending",
                f"{FLAVORS}insufficient quota for nvidia.com/gpu in flavor a800, previously considered podsets "
                "requests (16) + current podset request (8) > maximum capacity (16)",
            ),
            "maximum of its queue: 16 of flavor a800",
            True,
        ),
        (workload("Pending", f"{FLAVORS}borrowing limit for nvidia.com/gpu in flavor a800 exceeded"), "the borrowing limit of nvidia.com/gpu of flavor a800 is exceeded", False),
        (workload("Pending", f"{FLAVORS}resource memory unavailable in ClusterQueue"), "has no quota for memory", True),
        (workload("Inadmissible", "LocalQueue team doesn't exist"), "LocalQueue `team` not found", True),
        (workload("Inadmissible", "ClusterQueue a800 is inactive"), "ClusterQueue `a800` is inactive", True),
        (
            workload("Pending", f'{FLAVORS}topology "default" allows to fit only 1 out of 2 pod(s)'),
            "close together: topology `default` allows to fit only 1 out of 2 pod(s)",
            False,
        ),
        (
            workload(
                "Pending",
                f"{FLAVORS}insufficient unused quota for nvidia.com/gpu in flavor a800, 8 more needed",
                conditions=[{"type": "Evicted", "status": "True", "reason": "Preempted", "message": "Preempted to accommodate"}],
            ),
            "preempted by another workload, in the queue again; waiting for quota: 8 more",
            False,
        ),
        (
            {
                "spec": {},
                "status": {
                    "conditions": [{"type": "QuotaReserved", "status": "True"}],
                    "admissionChecks": [{"name": "provision", "state": "Pending"}],
                },
            },
            "quota reserved, waiting for admission checks: provision",
            False,
        ),
        ({"spec": {"active": False}, "status": {}}, "deactivated by the queue", True),
    ],
)  # fmt: skip
def test_kueues_word(found, words, stuck):
    why = pending.explain_workload(found)
    assert why is not None
    assert words in why.text
    assert why.stuck is stuck


def test_an_admitted_workload_says_nothing():
    assert (
        pending.explain_workload(
            {"spec": {}, "status": {"conditions": [{"type": "Admitted", "status": "True"}]}}
        )
        is None
    )


def test_volcanos_word():
    waiting = {
        "type": "Unschedulable",
        "status": "True",
        "message": "2/2 tasks in gang unschedulable: pod group is not ready",
    }
    why = pending.explain_pod_group({"status": {"phase": "Pending", "conditions": [waiting]}})
    assert why is not None
    assert "waiting for the whole gang: 2/2 tasks" in why.text
    assert pending.explain_pod_group({"status": {"phase": "Running"}}) is None


def job(*conditions: tuple[str, str, str], suspend: bool = False, **metadata):
    return {
        "metadata": {"name": "grpo-0123456789-r0", **metadata},
        "spec": {"suspend": suspend},
        "status": {
            "conditions": [{"type": t, "status": "True", "reason": r, "message": m} for t, r, m in conditions]
        },
    }


def pod(
    phase="Pending", node="", scheduled=None, states=(), conditions=(), name="grpo-x", created="1", **metadata
):
    found = [] if scheduled is None else [
        {"type": "PodScheduled", "status": "False", "reason": scheduled[0], "message": scheduled[1]}
    ]  # fmt: skip
    return {
        "metadata": {"name": name, "creationTimestamp": created, **metadata},
        "spec": {"nodeName": node, "containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]},
        "status": {
            "phase": phase,
            "conditions": [*found, *conditions],
            "containerStatuses": [{"name": "main", "image": "r/c2f@sha256:1", "state": s} for s in states],
        },
    }


def event(kind, name, reason, message, at="2026-01-01T00:00:00Z", type="Warning"):  # noqa: A002
    return {
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason, "message": message, "type": type, "lastTimestamp": at,
    }  # fmt: skip


NO_GPU = ("Unschedulable", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." + PREEMPTION)
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
CASES = {
    "done": (StageObjects(job(("Complete", "CompletionsReached", ""))), Phase.DONE, ""),
    "a failure by its exit code": (
        StageObjects(job(("Failed", "PodFailurePolicy", "Container main for pod c2f/x failed with exit code 65 matching FailJob rule at index 2"))),
        Phase.FAILED,
        MEANING[StageExit.DATA],
    ),
    "a failure after tries": (
        StageObjects(
            job(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")),
            [pod("Failed", "n1", states=[{"terminated": {"exitCode": 75}}], created=str(i)) for i in range(3)],
        ),
        Phase.FAILED,
        f"failed 3 times, last: {MEANING[StageExit.TRANSIENT]}",
    ),
    "an ending that goes on": (StageObjects(job(("FailureTarget", "DeadlineExceeded", ""))), Phase.FAILED, "exceeded its deadline"),
    "being deleted": (StageObjects(job(deletionTimestamp="2026-01-01T00:00:00Z")), Phase.SAVING, "stopping"),
    "in Kueue": (
        StageObjects(job(suspend=True), workload=workload("Pending", f"{FLAVORS}insufficient unused quota for cpu in flavor c, 3 more needed")),
        Phase.QUEUED,
        "waiting for quota: 3 more cpu of flavor c",
    ),
    "suspended while it runs": (StageObjects(job(suspend=True), [pod("Running", "n1", states=[{"running": {}}])]), Phase.SAVING, "suspended by the queue, saving before it stops"),
    "no pod yet": (StageObjects(job()), Phase.STARTING, "its pod is about to be created"),
    "no pod ever": (
        StageObjects(job(), events=[event("Job", "grpo-0123456789-r0", "FailedCreate", 'pods "x" is forbidden: violates PodSecurity "restricted:latest": y')]),
        Phase.QUEUED,
        "Pod Security `restricted:latest` forbids its pods: y",
    ),
    "unschedulable": (StageObjects(job(), [pod(scheduled=NO_GPU)]), Phase.QUEUED, "needs 4 GPUs on one node; no node of 1 fits: 1 with insufficient free GPUs"),
    "a gang": (
        StageObjects(job(), [pod(scheduled=("Unschedulable", ""))], pod_group={"status": {"phase": "Inqueue", "conditions": []}}),
        Phase.QUEUED,
        "waiting for the queue",
    ),
    "gated": (StageObjects(job(), [pod(scheduled=("SchedulingGated", "Scheduling is blocked"))]), Phase.QUEUED, "waiting for its scheduling gates"),
    "pulling": (
        StageObjects(
            job(),
            [pod(node="n1", states=[{"waiting": {"reason": "ContainerCreating"}}])],
            [
                event("Pod", "grpo-x", "Scheduled", "Successfully assigned", "2026-01-01T00:00:00Z", "Normal"),
                event("Pod", "grpo-x", "Pulling", 'Pulling image "r/c2f@sha256:1"', "2026-01-01T00:00:01Z", "Normal"),
            ],
        ),
        Phase.STARTING,
        "pulling image r/c2f@sha256:1 on node n1",
    ),
    "a volume": (
        StageObjects(
            job(),
            [pod(node="n1", states=[{"waiting": {"reason": "ContainerCreating"}}])],
            [event("Pod", "grpo-x", "FailedMount", 'MountVolume.SetUp failed for volume "s" : secret "c2f-s3" not found')],
        ),
        Phase.STARTING,
        "Secret `c2f-s3` not found",
    ),
    "running": (StageObjects(job(), [pod("Running", "n1", states=[{"running": {}}])]), Phase.RUNNING, "on node n1"),
    "one of two": (
        StageObjects(job(), [pod("Running", "n1", states=[{"running": {}}]), pod(scheduled=NO_GPU, name="b")]),
        Phase.QUEUED,
        "1 of 2 pods running; another: needs 4 GPUs",
    ),
    "evicted and saving": (
        StageObjects(job(), [pod("Running", "n1", states=[{"running": {}}], conditions=[DISRUPTED], deletionTimestamp="x")]),
        Phase.SAVING,
        "saving before it stops (evicted, as for maintenance of the node (drain))",
    ),
    "between two attempts": (
        StageObjects(job(), [pod("Failed", "n1", states=[{"terminated": {"exitCode": 75}}])]),
        Phase.STARTING,
        f"restarting (attempt 1: {MEANING[StageExit.TRANSIENT]})",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_where_a_stage_is(case):
    seen, phase, words = CASES[case]
    found = stage_status(seen)
    assert found.phase is phase
    assert found.explanation.text.startswith(words), found.explanation.text


@pytest.mark.parametrize(
    ("terminated", "words"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, "out of memory (killed)"),
        ({"exitCode": 72}, MEANING[StageExit.DIVERGED]),
        ({"exitCode": 3}, "ended with exit code 3"),
        ({"exitCode": 127, "reason": "ContainerCannotRun"}, "its command cannot run in this image"),
    ],
)
def test_how_a_pod_ended(terminated, words):
    end = termination.explain_pod_end(pod("Failed", "n1", states=[{"terminated": terminated}]))
    assert end is not None
    assert end.text == words
    assert end.remedy


def test_every_way_to_end_says_what_to_do():
    assert set(REMEDY) == set(StageExit) - {StageExit.DONE}
    assert set(MEANING) == set(StageExit)
