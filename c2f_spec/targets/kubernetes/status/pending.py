"""A container that waits, and events of pods and Jobs → words.

Reasons and messages as the kubelet, the Job controller and admission write them (kubernetes/kubernetes,
pkg/kubelet/images, pkg/kubelet/kuberuntime, pkg/controller/job, plugin/pkg/admission).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from c2f_spec.targets.kubernetes.status import Why, bounded

NO_PULL = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
COMING = ("ContainerCreating", "PodInitializing", "")

MISSING = re.compile(r'(?P<kind>secret|configmap) "(?P<name>[^"]+)" not found', re.IGNORECASE)
NO_KEY = re.compile(r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) [^/\s]+/(?P<name>\S+)")
POD_SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>.*)', re.DOTALL)
QUOTA = re.compile(
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<asked>[^ ]+), used: (?P<used>[^ ]+), limited: (?P<limit>[^ ]+)"
)
NO_ACCOUNT = re.compile(r'serviceaccount "(?P<name>[^"]+)" not found')
NO_PRIORITY = re.compile(r"no PriorityClass with name (?P<name>\S+) was found")


def waiting(reason: str, message: str, image: str) -> Why:
    """Why a container of a pod that has a node does not run yet."""
    if reason in COMING:
        return Why("its containers are being made")
    if reason in NO_PULL:
        return _pull(message, image)
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        return Why(
            f"`{image}` cannot be pulled: {bounded(message)}",
            "correct `image` of the environment",
            stuck=True,
        )
    if why := refusal(message):
        return why
    if "runAsNonRoot" in message:
        return Why(
            f"the image `{image}` runs as root, which its pod forbids",
            "build it with a numeric USER, as k8s/Dockerfile does",
            stuck=True,
        )
    return Why(f"{reason}: {bounded(message)}" if message else reason, stuck=reason.endswith("Error"))


def _pull(message: str, image: str) -> Why:
    low = message.lower()
    if any(word in low for word in ("unauthorized", "authentication required", "denied", "403")):
        return Why(
            f"the registry refuses `{image}`",
            "put credentials into the pull secret that the environment names as `pull_secrets`",
            stuck=True,
        )
    if any(word in low for word in ("not found", "manifest unknown", "does not exist")):
        return Why(
            f"there is no image `{image}`",
            "push it, or correct `image` of the environment; `doctor` looks it up",
            stuck=True,
        )
    if any(word in low for word in ("no such host", "timeout", "i/o", "refused", "tls", "x509")):
        return Why(
            f"the node cannot reach the registry of `{image}`: {bounded(message, 160)}",
            "name a registry that the nodes reach in `image` of the environment",
        )
    return Why(
        f"`{image}` cannot be pulled: {bounded(message, 200)}", "kubectl describe pod has the whole message"
    )


def refusal(message: str) -> Why | None:
    """What a pod needs and does not get, whoever says so; nothing if the message is of another kind."""
    if found := NO_KEY.search(message):
        kind = found["kind"].lower()
        return Why(
            f"the {kind} `{found['name']}` has no key `{found['key']}`",
            f"add the key; `doctor` lists the keys that the environment needs of `{found['name']}`",
            stuck=True,
        )
    if found := MISSING.search(message):
        kind = found["kind"].lower()
        ours = "`apply` makes it again" if kind == "configmap" else "create it; k8s/README.md has examples"
        return Why(f"the {kind} `{found['name']}` does not exist", ours, stuck=True)
    if found := POD_SECURITY.search(message):
        return Why(
            f"Pod Security `{found['level']}` refuses its pods: {bounded(found['what'], 200)}",
            "correct `pod_template` of the environment, or the label of the namespace",
            stuck=True,
        )
    if found := QUOTA.search(message):
        return Why(
            f"the namespace's quota `{found['quota']}` is used up: asks for {found['asked']}, "
            f"{found['used']} of {found['limit']} are taken",
            "it starts when the quota comes free, or is raised",
        )
    if found := NO_ACCOUNT.search(message):
        return Why(
            f"the service account `{found['name']}` does not exist",
            "kubectl apply -k k8s/ makes it",
            stuck=True,
        )
    if found := NO_PRIORITY.search(message):
        return Why(
            f"the priority class `{found['name']}` does not exist",
            "kubectl apply -k k8s/ makes it, or correct `scheduler.priority` of the environment",
            stuck=True,
        )
    return None


def event(reason: str, message: str) -> Why | None:
    """A warning event of a pod or of a Job; nothing if it is of no consequence here."""
    if why := refusal(message):
        return why
    if reason in ("FailedMount", "FailedAttachVolume", "FailedMapVolume"):
        return Why(
            f"a volume cannot be mounted: {bounded(message, 200)}", "kubectl describe pod names the volume"
        )
    if reason == "FailedCreatePodSandBox":
        return Why(
            f"the node cannot make a sandbox: {bounded(message, 200)}",
            "the node's network plugin is to blame",
        )
    if reason == "FailedCreate":
        return Why(f"its pod is refused: {bounded(message)}", stuck=True)
    if reason == "Failed" and "pull" in message.lower():
        return _pull(message, _image_of(message))
    return None


def _image_of(message: str) -> str:
    found = re.search(r'image "([^"]+)"', message)
    return found[1] if found else "the image"


# The scheduler's message of an unschedulable pod → words.
#
# `0/5 nodes are available: 1 node(s) had untolerated taint {a: b}, 4 Insufficient nvidia.com/gpu. preemption: …`
# counts every node once, by the first filter that refused it; what follows the first sentence is about preemption.
# Wording from kubernetes/kubernetes, pkg/scheduler/framework (1.28 to 1.37).


HEAD = re.compile(r"^(?:0/(?P<total>\d+) nodes (?:are )?available): (?P<rest>.*)$", re.DOTALL)
TAIL = re.compile(r"[.,]? ?(?:no new claims to deallocate|preemption: ).*$", re.DOTALL)
PART = re.compile(r"(?P<count>\d+) (?P<reason>.+)", re.DOTALL)


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    words: str
    """After a number of nodes; `{0}` is what the pattern caught."""
    way_out: str


RULES = (
    _Rule(
        re.compile(r"Insufficient (?:nvidia\.com/gpu|.*gpu.*)"),
        "without enough free GPUs",
        "it starts when GPUs come free; if it never does, compare `gpus` of the pool with what one node has",
    ),
    _Rule(
        re.compile(r"Insufficient (\S+)"),
        "without enough free {0}",
        "it starts when {0} comes free; if it never does, lower `{0}` of the pool in the environment",
    ),
    _Rule(
        re.compile(r"node\(s\) (?:didn't match|didn't satisfy) Pod's node affinity(?:/selector)?"),
        "not of the pool, or avoided (node selector and affinity)",
        "label the nodes, or correct `node_selector` of the pool in the environment; `doctor` compares the two",
    ),
    _Rule(
        re.compile(r"node\(s\) had untolerated taint \{(?P<key>[^:}]+):? ?(?P<value>[^}]*)\}"),
        "with the taint {0}, which the pool does not tolerate",
        "add a toleration of {0} to the pool in the environment, if its stages may run there",
    ),
    _Rule(
        re.compile(r"node\(s\) had (?:untolerated )?taints?\b.*"),
        "with a taint that the pool does not tolerate",
        "add the toleration to the pool in the environment, if its stages may run there",
    ),
    _Rule(re.compile(r"node\(s\) were unschedulable"), "closed for maintenance (cordoned)", "kubectl uncordon opens a node"),
    _Rule(re.compile(r"Too many pods"), "with as many pods as they may have", ""),
    _Rule(
        re.compile(r"node\(s\) (?:had volume node affinity conflict|didn't match PersistentVolume's node affinity)"),
        "where the volume of the node cache is not",
        "name a volume that every node of the pool can mount as `node_cache` of the environment, or none",
    ),
    _Rule(
        re.compile(r"node\(s\) didn't match pod (?:anti-)?affinity.*"),
        "refused by rules about other pods",
        "see `pod_template` of the environment",
    ),
)  # fmt: skip

CLAIM_MISSING = re.compile(r'persistentvolumeclaim "([^"]+)" not found')


def unschedulable(message: str) -> Why:
    """Why no node takes a pod, most nodes first."""
    if found := CLAIM_MISSING.search(message):
        return Why(
            f"the volume claim `{found[1]}` does not exist",
            f"create it, or change `node_cache` of the environment: `{found[1]}` is named there",
            stuck=True,
        )
    if "unbound immediate PersistentVolumeClaims" in message:
        return Why(
            "its volume claim has no volume yet", "kubectl describe pvc says what provisioning waits for"
        )
    if "no nodes available to schedule pods" in message:
        return Why("the cluster has no nodes", "add nodes", stuck=True)
    head = HEAD.match(message)
    if head is None:
        return Why(f"no node takes it: {bounded(message)}")
    total = int(head["total"])
    parts = [_part(text) for text in re.split(r", (?=\d+ )", TAIL.sub("", head["rest"]).rstrip(". "))]
    parts.sort(key=lambda part: -part[0])
    told = ", ".join(f"{count} {words}" for count, words, _ in parts)
    outs = [way for _, _, way in parts if way]
    return Why(f"no node fits, of {total}: {told}", outs[0] if outs else "")


def _part(text: str) -> tuple[int, str, str]:
    """Number of nodes, words, way out, of one reason."""
    found = PART.fullmatch(text)
    if found is None:
        return 0, bounded(text), ""
    count, reason = int(found["count"]), found["reason"]
    for rule in RULES:
        if caught := rule.pattern.fullmatch(reason):
            value = caught[1] if caught.groups() else ""
            return count, rule.words.format(value), rule.way_out.format(value)
    return count, bounded(reason), ""


# A queue's own object → words: Kueue's Workload, Volcano's PodGroup.
#
# Conditions as Kueue v0.19 writes them (`QuotaReserved`, `Admitted`, `Evicted`, `Preempted`, `Requeued`).


UNUSED = re.compile(
    r"insufficient unused quota(?: in cohort)? for (?P<resource>\S+) in flavor (?P<flavor>[^\s,]+), (?P<more>\S+) more needed"
)
TOO_MUCH = re.compile(
    r"insufficient quota for (?P<resource>\S+) in flavor (?P<flavor>[^\s,]+), .*> maximum capacity \((?:\S+ > )?(?P<most>[^)]+)\)"
)
BORROWING = re.compile(r"borrowing limit for (?P<resource>\S+) in flavor (?P<flavor>\S+) exceeded")
NOT_COVERED = re.compile(r"resource (?P<resource>\S+) unavailable in ClusterQueue")
NO_QUEUE = re.compile(r"(?P<kind>LocalQueue|ClusterQueue) (?P<name>\S+) (?P<what>doesn't exist|is inactive)")
TOPOLOGY = re.compile(r'topology "(?P<name>[^"]+)" (?P<what>(?:doesn\'t allow|allows) to fit .*)')

EVICTED = {
    "Preempted": "another took its place (preempted); it waits for its turn again",
    "PodsReadyTimeout": "not all of its pods came up in the queue's time; it waits for its turn again",
    "AdmissionCheck": "an admission check of the queue failed",
    "ClusterQueueStopped": "the queue was stopped",
    "LocalQueueStopped": "the queue was stopped",
    "NodeFailures": "a node of its failed; it waits for its turn again",
    "Deactivated": "the queue has given it up",
}


def workload(found: dict[str, Any]) -> Why | None:
    """Why Kueue does not let a Job start; nothing once it does."""
    conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", [])}
    if found.get("spec", {}).get("active") is False:
        return Why(
            "the queue has given it up (its Workload is not active)",
            "`retry` makes a new Job of it",
            stuck=True,
        )
    if _true(conditions.get("Admitted")):
        return None
    reserved = conditions.get("QuotaReserved")
    evicted = conditions.get("Evicted")
    if reserved is None:
        return Why("waits for the queue to look at it")
    if _true(reserved):
        waits = [
            c["name"] for c in found.get("status", {}).get("admissionChecks", []) if c.get("state") != "Ready"
        ]
        return Why(f"has its quota, and waits for the queue's checks: {', '.join(waits) or 'admission'}")
    told = _pending(str(reserved.get("reason", "")), str(reserved.get("message", "")))
    if _true(evicted) and (reason := EVICTED.get(str(evicted and evicted.get("reason")))):
        return Why(f"{reason}; {told.words}", told.way_out, told.stuck)
    return told


def _pending(reason: str, message: str) -> Why:
    if found := TOO_MUCH.search(message):
        return Why(
            f"asks for more {found['resource']} than its queue ever has: {found['most']} of flavor {found['flavor']}",
            "lower `gpus` or `nodes` of the stage under `resources`, or raise the queue's quota",
            stuck=True,
        )
    if found := UNUSED.search(message):
        return Why(f"waits for quota: {found['more']} more {found['resource']} of flavor {found['flavor']}")
    if found := BORROWING.search(message):
        return Why(
            f"waits for quota: the queue may borrow no more {found['resource']} of flavor {found['flavor']}"
        )
    if found := NOT_COVERED.search(message):
        return Why(
            f"the queue has no quota for {found['resource']}",
            f"add {found['resource']} to `coveredResources` of the ClusterQueue",
            stuck=True,
        )
    if found := NO_QUEUE.search(message):
        return Why(
            f"the queue `{found['name']}` {'does not exist' if 'exist' in found['what'] else 'is not active'}",
            "kubectl apply -k k8s/ makes it, or correct `scheduler.queue` of the environment; `doctor` looks",
            stuck=True,
        )
    if found := TOPOLOGY.search(message):
        return Why(f"waits for nodes that lie together: topology `{found['name']}` {found['what']}")
    words = bounded(message) or reason or "pending"
    return Why(f"waits in the queue: {words}", stuck=reason == "Inadmissible")


def pod_group(found: dict[str, Any]) -> Why | None:
    """Why Volcano does not let a gang start; nothing once it does."""
    status = found.get("status", {})
    if status.get("phase") in ("Running", "Completed"):
        return None
    for condition in reversed(status.get("conditions", [])):
        if condition.get("type") == "Unschedulable" and condition.get("status") == "True":
            return Why(f"waits for the whole gang: {bounded(str(condition.get('message', '')))}")
    return Why("waits for the queue to look at it")


def _true(condition: dict[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "True"
