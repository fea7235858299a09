"""What the cluster says, in words: messages as kubelet, scheduler, admission, Kueue and Volcano write them."""

from __future__ import annotations

import pytest

from c2f_spec.errors import MEANING, REMEDY, StageExit
from c2f_spec.targets.base import Phase
from c2f_spec.targets.kubernetes.status import pending, termination
from c2f_spec.targets.kubernetes.status.stage_status import Seen, standing

PREEMPTION = " preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("message", "words", "way_out"),
    [
        (
            "0/5 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "4 Insufficient nvidia.com/gpu." + PREEMPTION,
            ("no node fits, of 5: 4 without enough free GPUs, 1 with the taint node-role.kubernetes.io/control-plane, "
            "which the pool does not tolerate"),
            "compare `gpus` of the pool",
        ),
        (
            ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are "
            "available: 3 Preemption is not helpful for scheduling."),
            "no node fits, of 3: 3 not of the pool, or avoided (node selector and affinity)",
            "`node_selector` of the pool",
        ),
        (
            "0/17 nodes are available: 17 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/17",
            "no node fits, of 17: 17 with a taint that the pool does not tolerate",
            "toleration",
        ),
        (
            ("0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable. "
            "no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."),
            ("no node fits, of 2: 1 without enough free cpu, 1 without enough free memory, "
            "1 closed for maintenance (cordoned)"),
            "lower `cpu` of the pool",
        ),
        (
            '0/1 nodes are available: persistentvolumeclaim "c2f-cache" not found. preemption: 0/1',
            "the volume claim `c2f-cache` does not exist",
            "create it",
        ),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1",
            "its volume claim has no volume yet",
            "kubectl describe pvc",
        ),
        ("no nodes available to schedule pods", "the cluster has no nodes", "add nodes"),
        ("0/4 nodes are available: 4 node(s) had a brand new reason.", "no node fits, of 4: 4 node(s) had a brand new reason", ""),
        ("something else entirely", "no node takes it: something else entirely", ""),
    ],
)  # fmt: skip
def test_the_schedulers_word(message, words, way_out):
    why = pending.unschedulable(message)
    assert why.words == words
    assert way_out in why.way_out


@pytest.mark.parametrize(
    ("reason", "message", "words", "stuck"),
    [
        ("ContainerCreating", "", "being made", False),
        (
            "ImagePullBackOff",
            ('Back-off pulling image "r.example/c2f@sha256:1": ErrImagePull: rpc error: code = NotFound desc = '
            'failed to pull and unpack image "r.example/c2f@sha256:1": not found'),
            "there is no image `r.example/c2f@sha256:1`",
            True,
        ),
        (
            "ErrImagePull",
            ("failed to pull image: pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed"),
            "the registry refuses",
            True,
        ),
        (
            "ErrImagePull",
            'Get "https://r.example/v2/": dial tcp: lookup r.example: no such host',
            "cannot reach the registry",
            False,
        ),
        ("InvalidImageName", 'couldn\'t parse image name "UPPER/x": invalid reference format', "cannot be pulled", True),
        ("CreateContainerConfigError", 'secret "c2f-s3" not found', "the secret `c2f-s3` does not exist", True),
        (
            "CreateContainerConfigError",
            "couldn't find key AWS_SECRET_ACCESS_KEY in Secret c2f/c2f-s3",
            "the secret `c2f-s3` has no key `AWS_SECRET_ACCESS_KEY`",
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
    why = pending.waiting(reason, message, "r.example/c2f@sha256:1")
    assert words in why.words
    assert why.stuck is stuck


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        (
            "FailedCreate",
            ('Error creating: pods "grpo-x-0-abc" is forbidden: violates PodSecurity "restricted:latest": '
            'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false)'),
            "Pod Security `restricted:latest` refuses its pods: allowPrivilegeEscalation != false",
        ),
        (
            "FailedCreate",
            ('Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8, '
            "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8"),
            "quota `gpus` is used up: asks for requests.nvidia.com/gpu=8",
        ),
        (
            "FailedCreate",
            ('Error creating: pods "x" is forbidden: error looking up service account c2f/c2f-stage: '
            'serviceaccount "c2f-stage" not found'),
            "the service account `c2f-stage` does not exist",
        ),
        (
            "FailedCreate",
            'Error creating: pods "x" is forbidden: no PriorityClass with name c2f-high was found',
            "the priority class `c2f-high` does not exist",
        ),
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "stage" : configmap "grpo-0123456789-r0" not found',
            "the configmap `grpo-0123456789-r0` does not exist",
        ),
        (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[cache], unattached volumes=[]: timed out waiting for the condition",
            "a volume cannot be mounted",
        ),
        ("FailedCreatePodSandBox", "failed to setup network for sandbox", "cannot make a sandbox"),
    ],
)  # fmt: skip
def test_a_warning_event(reason, message, words):
    why = pending.event(reason, message)
    assert why is not None
    assert words in why.words


def test_an_event_of_no_consequence_says_nothing():
    assert pending.event("Unhealthy", "Startup probe failed") is None


def workload(reason: str, message: str, **more):
    reserved = {"type": "QuotaReserved", "status": "False", "reason": reason, "message": message}
    return {"spec": {}, "status": {"conditions": [reserved, *more.get("conditions", [])]}}


FLAVORS = "couldn't assign flavors to pod set main: "


@pytest.mark.parametrize(
    ("found", "words", "stuck"),
    [
        ({"spec": {}, "status": {}}, "waits for the queue to look at it", False),
        (
            workload("Pending", f"{FLAVORS}insufficient unused quota for nvidia.com/gpu in flavor a800, 4 more needed"),
            "waits for quota: 4 more nvidia.com/gpu of flavor a800",
            False,
        ),
        (
            workload("Pending", f"{FLAVORS}insufficient quota for nvidia.com/gpu in flavor a800, request > maximum capacity (16 > 8)"),
            "asks for more nvidia.com/gpu than its queue ever has: 8 of flavor a800",
            True,
        ),
        (
            workload(
                "Pending",
                f"{FLAVORS}insufficient quota for nvidia.com/gpu in flavor a800, previously considered podsets "
                "requests (16) + current podset request (8) > maximum capacity (16)",
            ),
            "ever has: 16 of flavor a800",
            True,
        ),
        (workload("Pending", f"{FLAVORS}borrowing limit for nvidia.com/gpu in flavor a800 exceeded"), "may borrow no more", False),
        (workload("Pending", f"{FLAVORS}resource memory unavailable in ClusterQueue"), "has no quota for memory", True),
        (workload("Inadmissible", "LocalQueue team doesn't exist"), "the queue `team` does not exist", True),
        (workload("Inadmissible", "ClusterQueue a800 is inactive"), "the queue `a800` is not active", True),
        (
            workload("Pending", f'{FLAVORS}topology "default" allows to fit only 1 out of 2 pod(s)'),
            "lie together: topology `default` allows to fit only 1 out of 2 pod(s)",
            False,
        ),
        (
            workload(
                "Pending",
                f"{FLAVORS}insufficient unused quota for nvidia.com/gpu in flavor a800, 8 more needed",
                conditions=[{"type": "Evicted", "status": "True", "reason": "Preempted", "message": "Preempted to accommodate"}],
            ),
            "another took its place (preempted); it waits for its turn again; waits for quota: 8 more",
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
            "waits for the queue's checks: provision",
            False,
        ),
        ({"spec": {"active": False}, "status": {}}, "given it up", True),
    ],
)  # fmt: skip
def test_kueues_word(found, words, stuck):
    why = pending.workload(found)
    assert why is not None
    assert words in why.words
    assert why.stuck is stuck


def test_an_admitted_workload_says_nothing():
    assert (
        pending.workload({"spec": {}, "status": {"conditions": [{"type": "Admitted", "status": "True"}]}})
        is None
    )


def test_volcanos_word():
    waiting = {
        "type": "Unschedulable",
        "status": "True",
        "message": "2/2 tasks in gang unschedulable: pod group is not ready",
    }
    why = pending.pod_group({"status": {"phase": "Pending", "conditions": [waiting]}})
    assert why is not None
    assert "waits for the whole gang: 2/2 tasks" in why.words
    assert pending.pod_group({"status": {"phase": "Running"}}) is None


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
    "done": (Seen(job(("Complete", "CompletionsReached", ""))), Phase.DONE, ""),
    "a failure by its exit code": (
        Seen(job(("Failed", "PodFailurePolicy", "Container main for pod c2f/x failed with exit code 65 matching FailJob rule at index 2"))),
        Phase.FAILED,
        MEANING[StageExit.DATA],
    ),
    "a failure after tries": (
        Seen(
            job(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")),
            [pod("Failed", "n1", states=[{"terminated": {"exitCode": 75}}], created=str(i)) for i in range(3)],
        ),
        Phase.FAILED,
        f"failed 3 times, last: {MEANING[StageExit.TRANSIENT]}",
    ),
    "an ending that goes on": (Seen(job(("FailureTarget", "DeadlineExceeded", ""))), Phase.FAILED, "took longer than the limit"),
    "being deleted": (Seen(job(deletionTimestamp="2026-01-01T00:00:00Z")), Phase.SAVING, "is being stopped"),
    "in Kueue": (
        Seen(job(suspend=True), workload=workload("Pending", f"{FLAVORS}insufficient unused quota for cpu in flavor c, 3 more needed")),
        Phase.QUEUED,
        "waits for quota: 3 more cpu of flavor c",
    ),
    "suspended while it runs": (Seen(job(suspend=True), [pod("Running", "n1", states=[{"running": {}}])]), Phase.SAVING, "the queue stops it"),
    "no pod yet": (Seen(job()), Phase.STARTING, "its pod is about to be made"),
    "no pod ever": (
        Seen(job(), events=[event("Job", "grpo-0123456789-r0", "FailedCreate", 'pods "x" is forbidden: violates PodSecurity "restricted:latest": y')]),
        Phase.QUEUED,
        "Pod Security `restricted:latest` refuses its pods: y",
    ),
    "unschedulable": (Seen(job(), [pod(scheduled=NO_GPU)]), Phase.QUEUED, "needs 4 GPUs on one node; no node fits, of 1: 1 without enough free GPUs"),
    "a gang": (
        Seen(job(), [pod(scheduled=("Unschedulable", ""))], pod_group={"status": {"phase": "Inqueue", "conditions": []}}),
        Phase.QUEUED,
        "waits for the queue to look at it",
    ),
    "gated": (Seen(job(), [pod(scheduled=("SchedulingGated", "Scheduling is blocked"))]), Phase.QUEUED, "waits for its scheduling gates"),
    "pulling": (
        Seen(
            job(),
            [pod(node="n1", states=[{"waiting": {"reason": "ContainerCreating"}}])],
            [
                event("Pod", "grpo-x", "Scheduled", "Successfully assigned", "2026-01-01T00:00:00Z", "Normal"),
                event("Pod", "grpo-x", "Pulling", 'Pulling image "r/c2f@sha256:1"', "2026-01-01T00:00:01Z", "Normal"),
            ],
        ),
        Phase.STARTING,
        "pulls the image r/c2f@sha256:1 on n1",
    ),
    "a volume": (
        Seen(
            job(),
            [pod(node="n1", states=[{"waiting": {"reason": "ContainerCreating"}}])],
            [event("Pod", "grpo-x", "FailedMount", 'MountVolume.SetUp failed for volume "s" : secret "c2f-s3" not found')],
        ),
        Phase.STARTING,
        "the secret `c2f-s3` does not exist",
    ),
    "running": (Seen(job(), [pod("Running", "n1", states=[{"running": {}}])]), Phase.RUNNING, "on n1"),
    "one of two": (
        Seen(job(), [pod("Running", "n1", states=[{"running": {}}]), pod(scheduled=NO_GPU, name="b")]),
        Phase.QUEUED,
        "1 of 2 pods run; one needs 4 GPUs",
    ),
    "evicted and saving": (
        Seen(job(), [pod("Running", "n1", states=[{"running": {}}], conditions=[DISRUPTED], deletionTimestamp="x")]),
        Phase.SAVING,
        "saves before it stops (evicted, as for maintenance of the node)",
    ),
    "between two attempts": (
        Seen(job(), [pod("Failed", "n1", states=[{"terminated": {"exitCode": 75}}])]),
        Phase.STARTING,
        f"starts again (attempt 1: {MEANING[StageExit.TRANSIENT]})",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_where_a_stage_is(case):
    seen, phase, words = CASES[case]
    found = standing(seen)
    assert found.phase is phase
    assert found.detail.startswith(words), found.detail


@pytest.mark.parametrize(
    ("terminated", "words"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, "out of memory (killed)"),
        ({"exitCode": 72}, MEANING[StageExit.DIVERGED]),
        ({"exitCode": 3}, "ended with code 3"),
        ({"exitCode": 127, "reason": "ContainerCannotRun"}, "its command cannot run in this image"),
    ],
)
def test_how_a_pod_ended(terminated, words):
    end = termination.of_pod(pod("Failed", "n1", states=[{"terminated": terminated}]))
    assert end is not None
    assert end.words == words
    assert end.way_out


def test_every_way_to_end_says_what_to_do():
    assert set(REMEDY) == set(StageExit) - {StageExit.DONE}
    assert set(MEANING) == set(StageExit)
