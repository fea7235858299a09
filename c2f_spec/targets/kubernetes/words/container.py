"""A container that waits, and events of pods and Jobs → words.

Reasons and messages as the kubelet, the Job controller and admission write them (kubernetes/kubernetes,
pkg/kubelet/images, pkg/kubelet/kuberuntime, pkg/controller/job, plugin/pkg/admission).
"""

from __future__ import annotations

import re

from c2f_spec.targets.kubernetes.words.why import Why, bounded

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
