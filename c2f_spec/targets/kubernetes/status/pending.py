"""Explain why a stage does not run yet: every sentence that `status` prints about a pending pod or a queued Job.

Each table below maps a message of the cluster to a sentence and a remedy; the functions put sentences together, and add what
a pod itself says (`explain_unscheduled_pod`: how many GPUs it needs). The test is `tests/targets/test_pending.py`. A message that no rule matches is passed on as the cluster wrote it.

Messages are those of the kubelet, the scheduler, the Job controller and admission (kubernetes/kubernetes 1.28 to 1.37:
pkg/kubelet/images, pkg/kubelet/kuberuntime, pkg/scheduler/framework, pkg/controller/job, plugin/pkg/admission), of Kueue
v0.19 (conditions of a `Workload`) and of Volcano (conditions of a `PodGroup`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.kubernetes.status.termination import explain_pod_end, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Dict = dict[str, Any]
NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
CREATING = ("ContainerCreating", "PodInitializing", "")


class Explanation(NamedTuple):
    """Why something waits, and what to do about it."""

    text: str
    remedy: str = ""
    """Empty where waiting is enough."""
    stuck: bool = False
    """Waiting does not help: the cluster, the environment or the spec must change."""


class StageObjects(NamedTuple):
    """The objects of one stage in the cluster."""

    job: Dict
    pods: Sequence[Dict] = ()
    events: Sequence[Dict] = ()
    """Events of the Job and of its pods, in any order."""
    workload: Dict | None = None
    """The Workload, where Kueue is the scheduler."""
    pod_group: Dict | None = None
    """The PodGroup, where Volcano is the scheduler."""


class Rule(NamedTuple):
    """A message of the cluster, and its explanation. `{name}` stands for a named group of the pattern."""

    pattern: str
    text: str
    remedy: str = ""
    stuck: bool = False


REFUSALS = (
    Rule(
        r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) [^/\s]+/(?P<name>\S+)",
        "key `{key}` not found in the {kind} `{name}`",
        "add the key; `doctor` lists the keys that the environment needs",
        stuck=True,
    ),
    Rule(
        r'(?i:configmap) "(?P<name>[^"]+)" not found', "ConfigMap `{name}` not found", "run `c2f-spec apply` again", stuck=True
    ),
    Rule(
        r'(?i:secret) "(?P<name>[^"]+)" not found',
        "Secret `{name}` not found",
        "create it; k8s/README.md has examples",
        stuck=True,
    ),
    Rule(
        r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>(?s:.*))',
        "Pod Security `{level}` forbids its pods: {what}",
        "correct `pod_template` of the environment, or the label of the namespace",
        stuck=True,
    ),
    Rule(
        r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>[^ ]+), used: (?P<used>[^ ]+), limited: (?P<limit>[^ ]+)",
        "exceeds quota `{quota}` of the namespace: requests {requested}, {used} of {limit} are used",
        "wait until quota is released, or ask for more",
    ),
    Rule(
        r'serviceaccount "(?P<name>[^"]+)" not found',
        "service account `{name}` not found",
        "run `kubectl apply -k k8s/`",
        stuck=True,
    ),
    Rule(
        r"no PriorityClass with name (?P<name>\S+) was found",
        "priority class `{name}` not found",
        "run `kubectl apply -k k8s/overlays/priorities`, or correct `scheduler.priority` of the environment",
        stuck=True,
    ),
)  # fmt: skip
"""What a pod needs and does not get, whichever component says so."""

PULLS = (
    Rule(
        r"(?i)unauthorized|authentication required|denied|403",
        "permission denied by the registry for image `{image}`",
        "add credentials to the pull secret that `pull_secrets` of the environment names",
        stuck=True,
    ),
    Rule(
        r"(?i)not found|manifest unknown|does not exist",
        "image `{image}` not found",
        "push it, or correct `image` of the environment; `doctor` checks it",
        stuck=True,
    ),
    Rule(
        r"(?P<what>(?is:.*(?:no such host|timeout|i/o|refused|tls|x509).*))",
        "the node cannot reach the registry of image `{image}`: {what}",
        "set `image` of the environment to a registry that the nodes can reach",
    ),
    Rule(
        r"(?P<what>(?s:.*))",
        "image `{image}` cannot be pulled: {what}",
        "run `kubectl describe pod` for the whole message",
    ),
)

EVENTS = {
    "FailedMount": Rule("", "volume cannot be mounted: {what}", "run `kubectl describe pod` for its name"),
    "FailedCreatePodSandBox": Rule(
        "", "the node cannot create a pod sandbox: {what}", "check the network plugin of the node"
    ),
    "FailedCreate": Rule("", "its pod is rejected: {what}", stuck=True),
}
EVENTS |= dict.fromkeys(("FailedAttachVolume", "FailedMapVolume"), EVENTS["FailedMount"])
"""Reasons of warning events; other reasons are of no consequence here."""

NODES = (
    Rule(
        r"Insufficient (?:nvidia\.com/gpu|.*gpu.*)",
        "with insufficient free GPUs",
        "wait for free GPUs; if it never starts, compare `gpus` of the pool with what one node has",
    ),
    Rule(
        r"Insufficient (?P<name>\S+)",
        "with insufficient free {name}",
        "wait for free {name}; if it never starts, lower `{name}` of the pool in the environment",
    ),
    Rule(
        r"node\(s\) (?:didn't match|didn't satisfy) Pod's node affinity(?:/selector)?",
        "not of the pool, or avoided (node selector and affinity)",
        "label the nodes, or correct `node_selector` of the pool in the environment; `doctor` compares the two",
    ),
    Rule(
        r"node\(s\) had untolerated taint \{(?P<name>[^:}]+):? ?[^}]*\}",
        "with the taint {name}, which the pool does not tolerate",
        "add a toleration of {name} to the pool in the environment, if its stages may run there",
    ),
    Rule(
        r"node\(s\) had (?:untolerated )?taints?\b.*",
        "with a taint that the pool does not tolerate",
        "add the toleration to the pool in the environment, if its stages may run there",
    ),
    Rule(r"node\(s\) were unschedulable", "closed for maintenance (cordoned)", "run `kubectl uncordon` to open a node"),
    Rule(r"Too many pods", "with as many pods as allowed"),
    Rule(
        r"node\(s\) (?:had volume node affinity conflict|didn't match PersistentVolume's node affinity)",
        "without access to the volume of the node cache",
        "set `node_cache` of the environment to a volume that every node of the pool can mount, or to none",
    ),
    Rule(
        r"node\(s\) didn't match pod (?:anti-)?affinity.*",
        "refused by affinity rules between pods",
        "see `pod_template` of the environment",
    ),
)  # fmt: skip
"""Why nodes do not fit; the text follows a number of nodes."""

UNSCHEDULABLE = (
    Rule(
        r'persistentvolumeclaim "(?P<name>[^"]+)" not found',
        "volume claim `{name}` not found",
        "create it, or change `node_cache` of the environment",
        stuck=True,
    ),
    Rule(
        r"unbound immediate PersistentVolumeClaims",
        "its volume claim is not bound to a volume yet",
        "run `kubectl describe pvc` to see what provisioning waits for",
    ),
    Rule(r"no nodes available to schedule pods", "the cluster has no nodes", "add nodes", stuck=True),
)

QUEUES = (
    Rule(
        r"insufficient quota for (?P<resource>\S+) in flavor (?P<flavor>[^\s,]+), .*> maximum capacity \((?:\S+ > )?(?P<most>[^)]+)\)",
        "requests more {resource} than the maximum of its queue: {most} of flavor {flavor}",
        "lower `gpus` or `nodes` of the stage under `resources`, or raise the quota of the queue",
        stuck=True,
    ),
    Rule(
        r"insufficient unused quota(?: in cohort)? for (?P<resource>\S+) in flavor (?P<flavor>[^\s,]+), (?P<more>\S+) more needed",
        "waiting for quota: {more} more {resource} of flavor {flavor}",
    ),
    Rule(
        r"borrowing limit for (?P<resource>\S+) in flavor (?P<flavor>\S+) exceeded",
        "waiting for quota: the borrowing limit of {resource} of flavor {flavor} is exceeded",
    ),
    Rule(
        r"resource (?P<resource>\S+) unavailable in ClusterQueue",
        "the queue has no quota for {resource}",
        "add {resource} to `coveredResources` of the ClusterQueue",
        stuck=True,
    ),
    Rule(
        r"(?P<kind>LocalQueue|ClusterQueue) (?P<name>\S+) doesn't exist",
        "{kind} `{name}` not found",
        "run `kubectl apply -k k8s/overlays/kueue`, or correct `scheduler.queue` of the environment; `doctor` checks it",
        stuck=True,
    ),
    Rule(
        r"(?P<kind>LocalQueue|ClusterQueue) (?P<name>\S+) is inactive",
        "{kind} `{name}` is inactive",
        "ask the administrator of the queues, or correct `scheduler.queue` of the environment; `doctor` checks it",
        stuck=True,
    ),
    Rule(
        r'topology "(?P<name>[^"]+)" (?P<what>(?:doesn\'t allow|allows) to fit .*)',
        "waiting for nodes that are close together: topology `{name}` {what}",
    ),
)  # fmt: skip
"""Messages of the condition `QuotaReserved` of Kueue."""

EVICTED = {
    "Preempted": "preempted by another workload, in the queue again",
    "PodsReadyTimeout": "its pods were not ready within the timeout of the queue, in the queue again",
    "AdmissionCheck": "an admission check of the queue failed",
    "ClusterQueueStopped": "the queue was stopped",
    "LocalQueueStopped": "the queue was stopped",
    "NodeFailures": "one of its nodes failed, in the queue again",
    "Deactivated": "deactivated by the queue",
}
"""Reasons of the condition `Evicted` of Kueue."""

# `0/5 nodes are available: 1 node(s) had untolerated taint {a: b}, 4 Insufficient nvidia.com/gpu. preemption: …` counts
# every node once, by the first filter that refused it. What follows the first sentence is about preemption.
HEAD = re.compile(r"^0/(?P<total>\d+) nodes (?:are )?available: (?P<rest>.*)$", re.DOTALL)
TAIL = re.compile(r"[.,]? ?(?:no new claims to deallocate|preemption: ).*$", re.DOTALL)


def explain_suspended_job(objects: StageObjects) -> Explanation:
    """Explain what a suspended Job without pods waits for."""
    if objects.workload is None:
        return Explanation("waiting for its queue (the Job is suspended)")
    return explain_workload(objects.workload) or Explanation("admitted, the queue is about to start it")


def explain_missing_pod(objects: StageObjects) -> Explanation | None:
    """Explain why the Job controller cannot create a pod, by the latest warning that has a consequence."""
    return _latest_warning(e for e in _latest_first(objects) if _subject(e, "kind") == "Job")


def explain_restart(pods: Sequence[Dict]) -> Explanation:
    """Explain that a Job is between two pods. `pods` are those that ended, oldest first."""
    if not pods:
        return Explanation("its pod is about to be created")
    end = explain_pod_end(pods[-1])
    return Explanation(f"restarting{f' (attempt {len(pods)}: {end.text})' if end else ''}")


def explain_unscheduled_pod(pod: Dict, scheduled: Dict, objects: StageObjects) -> Explanation:
    """Explain why a pod has no node. `scheduled` is its condition `PodScheduled`, empty if it has none."""
    if scheduled.get("reason") == "SchedulingGated":
        workload = explain_workload(objects.workload) if objects.workload else None
        return workload or Explanation("waiting for its scheduling gates")
    if objects.pod_group is not None and (gang := explain_pod_group(objects.pod_group)) is not None:
        return gang
    if not scheduled.get("message"):
        return Explanation("waiting for the scheduler")
    explanation = explain_unschedulable(str(scheduled["message"]))
    limits = [c.get("resources", {}).get("limits", {}) for c in pod["spec"].get("containers", [])]
    gpus = sum(int(v) for each in limits for name, v in each.items() if name.endswith("/gpu"))
    needs = f"needs {gpus} GPU{'s' if gpus > 1 else ''} on one node; " if gpus else ""
    return explanation._replace(text=f"{needs}{explanation.text}")


def explain_starting_pod(pod: Dict, containers: Sequence[Dict], objects: StageObjects) -> Explanation:
    """Explain why a pod that has a node does not run: an error first, then its events, then its containers."""
    for c in containers:
        waiting = c.get("state", {}).get("waiting", {})
        if waiting and (reason := waiting.get("reason", "")) not in CREATING:
            return explain_waiting_container(reason, str(waiting.get("message", "")), c.get("image", ""))
    events = [e for e in _latest_first(objects) if _subject(e, "name") == pod["metadata"]["name"]]
    if warning := _latest_warning(events):
        return warning
    node = pod["spec"]["nodeName"]
    if events and events[0].get("reason") == "Pulling":
        image = str(events[0].get("message", "")).removeprefix("Pulling image ").strip('"')
        return Explanation(f"pulling image {image} on node {node}")
    servers = [c["name"] for c in containers if c.get("state", {}).get("running") and not c.get("started")]
    if servers:
        return Explanation(f"waiting for container `{servers[0]}` to be ready")
    return Explanation(f"creating its containers on node {node}")


def explain_waiting_container(reason: str, message: str, image: str) -> Explanation:
    """Explain why a container of a pod that has a node does not run yet."""
    if reason in CREATING:
        return Explanation("creating its containers")
    if reason in NOT_PULLED:
        return _apply(PULLS, message, image=image) or Explanation(reason)
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        text = f"image `{image}` cannot be pulled: {shorten(message)}"
        return Explanation(text, "correct `image` of the environment", stuck=True)
    if refusal := _apply(REFUSALS, message):
        return refusal
    if "runAsNonRoot" in message:
        text = f"image `{image}` runs as root, which its pod forbids (runAsNonRoot)"
        return Explanation(text, "build it with a numeric USER, as k8s/Dockerfile does", stuck=True)
    return Explanation(f"{reason}: {shorten(message)}" if message else reason, stuck=reason.endswith("Error"))


def explain_event(reason: str, message: str) -> Explanation | None:
    """Explain a warning event of a pod or of a Job; `None` if it is of no consequence here."""
    if refusal := _apply(REFUSALS, message):
        return refusal
    if reason in EVENTS:
        rule = EVENTS[reason]
        return Explanation(rule.text.format(what=shorten(message)), rule.remedy, rule.stuck)
    if reason == "Failed" and "pull" in message.lower():
        image = re.search(r'image "([^"]+)"', message)
        return _apply(PULLS, message, image=image[1] if image else "(unknown)")
    return None


def explain_unschedulable(message: str) -> Explanation:
    """Explain why no node fits a pod, the reason of most nodes first. `message` is the scheduler's."""
    if explanation := _apply(UNSCHEDULABLE, message):
        return explanation
    head = HEAD.match(message)
    if head is None:
        return Explanation(f"unschedulable: {shorten(message)}")
    parts = []
    for part in re.split(r", (?=\d+ )", TAIL.sub("", head["rest"]).rstrip(". ")):
        count, _, reason = part.partition(" ")
        number = int(count) if count.isdigit() else 0
        parts.append(
            (number, _apply(NODES, reason, whole=True) or Explanation(shorten(reason if number else part)))
        )
    parts.sort(key=lambda part: -part[0])
    reasons = ", ".join(f"{count} {explanation.text}" for count, explanation in parts)
    remedies = [explanation.remedy for _, explanation in parts if explanation.remedy]
    return Explanation(f"no node of {head['total']} fits: {reasons}", remedies[0] if remedies else "")


def explain_workload(workload: Dict) -> Explanation | None:
    """Explain why Kueue does not let a Job start; `None` once it does."""
    status = workload.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if workload.get("spec", {}).get("active") is False:
        text = "deactivated by the queue (its Workload is not active)"
        return Explanation(text, "run `c2f-spec retry` to create a new Job", stuck=True)
    if _is_true(conditions, "Admitted"):
        return None
    if "QuotaReserved" not in conditions:
        return Explanation("waiting for the queue")
    if _is_true(conditions, "QuotaReserved"):
        checks = [c["name"] for c in status.get("admissionChecks", []) if c.get("state") != "Ready"]
        return Explanation(
            f"quota reserved, waiting for admission checks: {', '.join(checks) or 'admission'}"
        )
    reserved = conditions["QuotaReserved"]
    reason, message = str(reserved.get("reason", "")), str(reserved.get("message", ""))
    explanation = _apply(QUEUES, message) or Explanation(
        f"waiting in the queue: {shorten(message) or reason or 'pending'}", stuck=reason == "Inadmissible"
    )
    if _is_true(conditions, "Evicted") and (evicted := EVICTED.get(str(conditions["Evicted"].get("reason")))):
        return explanation._replace(text=f"{evicted}; {explanation.text}")
    return explanation


def explain_pod_group(pod_group: Dict) -> Explanation | None:
    """Explain why Volcano does not let a gang start; `None` once it does."""
    status = pod_group.get("status", {})
    if status.get("phase") in ("Running", "Completed"):
        return None
    for condition in reversed(status.get("conditions", [])):
        if condition.get("type") == "Unschedulable" and condition.get("status") == "True":
            return Explanation(f"waiting for the whole gang: {shorten(str(condition.get('message', '')))}")
    return Explanation("waiting for the queue")


def _apply(rules: Iterable[Rule], message: str, *, whole: bool = False, **more: str) -> Explanation | None:
    """Return the explanation of the first rule that matches; `more` are further values of its text."""
    for rule in rules:
        match = (re.fullmatch if whole else re.search)(rule.pattern, message)
        if match:
            values = more | {name: shorten(value, 200) for name, value in match.groupdict().items()}
            return Explanation(rule.text.format(**values), rule.remedy.format(**values), rule.stuck)
    return None


def _is_true(conditions: dict[str, Dict], name: str) -> bool:
    return conditions.get(name, {}).get("status") == "True"


def _subject(event: Dict, field: str) -> Any:
    return event.get("involvedObject", {}).get(field)


def _latest_warning(events: Iterable[Dict]) -> Explanation | None:
    warnings = (e for e in events if e.get("type") == "Warning")
    explanations = (explain_event(str(e.get("reason")), str(e.get("message"))) for e in warnings)
    return next((explanation for explanation in explanations if explanation is not None), None)


def _latest_first(objects: StageObjects) -> list[Dict]:
    return sorted(objects.events, key=_time, reverse=True)


def _time(event: Dict) -> str:
    """Times are RFC 3339 in UTC, so that text compares as time; `eventTime` is what the newer API writes."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp", "")
    )
