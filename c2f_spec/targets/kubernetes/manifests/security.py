"""Pod Security: the security contexts of pods and containers, and what a level forbids in a pod.

A Job whose pods a namespace forbids is accepted with a mere `Warning`, and its pods are then refused for ever. So a pod
template is checked here, before anything is sent.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Level = Literal["restricted", "baseline", "privileged"]

BASELINE_CAPABILITIES = frozenset([
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
])  # fmt: skip
SAFE_SYSCTLS = frozenset([
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
])  # fmt: skip
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
RESTRICTED_VOLUMES = frozenset([
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
    "projected", "secret",
])  # fmt: skip
PROFILES = ("RuntimeDefault", "Localhost")


def pod_context(user: int | None) -> dict[str, Any]:
    """Return the security context of a pod; without a user id, the namespace assigns one."""
    ids = {} if user is None else {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
    return {
        "runAsNonRoot": True,
        **ids,
        **({} if user is None else {"fsGroupChangePolicy": "OnRootMismatch"}),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_context() -> dict[str, Any]:
    """Return the security context of every container, init containers and sidecars included."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def violations(pod: dict[str, Any], level: Level) -> list[tuple[str, str]]:
    """Return what a level forbids in the `spec` of a pod: the path below it and a message. `privileged` forbids nothing."""
    if level == "privileged":
        return []
    found = list(_baseline(pod))
    return found if level == "baseline" else [*found, *_restricted(pod)]


def _containers(pod: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(pod.get(group) or ()):
            yield f"{group}[{i}]", container


def _contexts(pod: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "securityContext", pod.get("securityContext") or {}
    for path, container in _containers(pod):
        yield f"{path}.securityContext", container.get("securityContext") or {}


def _baseline(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name, "namespaces of the node are not allowed"
    for i, volume in enumerate(pod.get("volumes") or ()):
        if "hostPath" in volume:
            yield f"volumes[{i}].hostPath", "host paths are not allowed"
    for sysctl in (pod.get("securityContext") or {}).get("sysctls") or ():
        if (name := sysctl.get("name", "")) not in SAFE_SYSCTLS:
            yield "securityContext.sysctls", f"`{name}` is not a safe sysctl"
    for path, container in _containers(pod):
        yield from _baseline_container(path, container)
    for path, context in _contexts(pod):
        yield from _baseline_context(path, context)


def _baseline_container(path: str, container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield f"{path}.ports", "host ports are not allowed"
    probes = [container.get(name) or {} for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks = list((container.get("lifecycle") or {}).values())
    for action in (*probes, *(h for h in hooks if isinstance(h, dict))):
        if any((action.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield path, "`host` is not allowed in a probe or hook"


def _baseline_context(path: str, context: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if context.get("privileged"):
        yield f"{path}.privileged", "privileged containers are not allowed"
    added = set((context.get("capabilities") or {}).get("add") or ())
    if wrong := added - BASELINE_CAPABILITIES:
        yield f"{path}.capabilities.add", f"{', '.join(sorted(wrong))} not allowed"
    if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
        yield f"{path}.seccompProfile", "`Unconfined` is not allowed"
    if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
        yield f"{path}.appArmorProfile", "`Unconfined` is not allowed"
    if context.get("procMount", "Default") != "Default":
        yield f"{path}.procMount", "an unmasked `/proc` is not allowed"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{path}.seLinuxOptions", "another SELinux type, user or role is not allowed"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{path}.windowsOptions", "host processes are not allowed"


def _restricted(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for i, volume in enumerate(pod.get("volumes") or ()):
        for kind in sorted(set(volume) - {"name"} - RESTRICTED_VOLUMES - {"hostPath"}):
            yield f"volumes[{i}].{kind}", f"a volume is one of {', '.join(sorted(RESTRICTED_VOLUMES))}"
    own = pod.get("securityContext") or {}
    for path, context in _contexts(pod):
        if context.get("runAsUser") == 0:
            yield f"{path}.runAsUser", "root is not allowed"
    for path, container in _containers(pod):
        context, at = container.get("securityContext") or {}, f"{path}.securityContext"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{at}.allowPrivilegeEscalation", "must be false"
        if "ALL" not in ((context.get("capabilities") or {}).get("drop") or ()):
            yield f"{at}.capabilities.drop", "must name ALL"
        if added := set((context.get("capabilities") or {}).get("add") or ()) - {"NET_BIND_SERVICE"}:
            yield f"{at}.capabilities.add", f"{', '.join(sorted(added))} not allowed"
        if not context.get("runAsNonRoot", own.get("runAsNonRoot")):
            yield f"{at}.runAsNonRoot", "must be true, here or for the pod"
        profile = (context.get("seccompProfile") or own.get("seccompProfile") or {}).get("type")
        if profile not in PROFILES:
            yield f"{at}.seccompProfile", f"must be {' or '.join(PROFILES)}, here or for the pod"
