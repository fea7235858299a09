"""The scheduler's message of an unschedulable pod → words.

`0/5 nodes are available: 1 node(s) had untolerated taint {a: b}, 4 Insufficient nvidia.com/gpu. preemption: …`
counts every node once, by the first filter that refused it; what follows the first sentence is about preemption.
Wording from kubernetes/kubernetes, pkg/scheduler/framework (1.28 to 1.37).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from c2f_spec.targets.kubernetes.words.why import Why, bounded

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
