"""The rules of Pod Security, one case a rule: what `restricted` and `baseline` refuse, and what they let pass.

The cases are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/, tried against the admission
of Kubernetes 1.36 (PLATFORM: "Facts proven").
"""

from __future__ import annotations

import copy

import pytest

from c2f_spec.targets.kubernetes.manifests.security import container_context, pod_context, violations


def pod(**spec):
    """A pod that passes, with fields of its `spec` replaced."""
    container = {"name": "stage", "image": "i", "securityContext": container_context()}
    return {"securityContext": pod_context(10001), "containers": [container], "volumes": [], **spec}


def changed(**context):
    """The passing pod with fields of its container's context replaced; `None` removes one."""
    made = pod()
    own = copy.deepcopy(made["containers"][0]["securityContext"])
    own.update(context)
    made["containers"][0]["securityContext"] = {k: v for k, v in own.items() if v is not None}
    return made


def of_pod(**context):
    own = {**pod_context(10001), **context}
    return pod(securityContext={k: v for k, v in own.items() if v is not None})


def beside(group, **fields):
    """The passing pod with a second container that says nothing of itself."""
    return {**pod(), group: [*pod().get(group, ()), {"name": "other", "image": "i", **fields}]}


REFUSED_BY_RESTRICTED = {
    "root allowed": of_pod(runAsNonRoot=None),
    "root": of_pod(runAsUser=0),
    "root in a container": changed(runAsUser=0),
    "no seccomp profile": of_pod(seccompProfile=None),
    "privilege escalation": changed(allowPrivilegeEscalation=None),
    "capabilities kept": changed(capabilities={"drop": ["NET_RAW"]}),
    "capability of RDMA": changed(capabilities={"drop": ["ALL"], "add": ["IPC_LOCK"]}),
    "a harmless capability": changed(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}),
    "nfs": pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]),
    "a bare init container": beside("initContainers"),
    "a bare sidecar": beside("initContainers", restartPolicy="Always"),
    "a bare second container": beside("containers"),
}
REFUSED_BY_BASELINE = {
    "folder of the node": pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
    "network of the node": pod(hostNetwork=True),
    "processes of the node": pod(hostPID=True),
    "memory of the node": pod(hostIPC=True),
    "port of the node": beside("containers", ports=[{"containerPort": 1, "hostPort": 1}]),
    "privileged": changed(privileged=True),
    "a great capability": changed(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "seccomp off": of_pod(seccompProfile={"type": "Unconfined"}),
    "AppArmor off": changed(appArmorProfile={"type": "Unconfined"}),
    "an unsafe sysctl": of_pod(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "another SELinux type": of_pod(seLinuxOptions={"type": "spc_t"}),
    "/proc unmasked": changed(procMount="Unmasked"),
    "a probe elsewhere": beside(
        "containers",
        livenessProbe={"httpGet": {"host": "10.0.0.1", "port": 1}},
        securityContext=container_context(),
    ),
    "Windows host process": of_pod(windowsOptions={"hostProcess": True}),
}
PASSES = {
    "ours": pod(),
    "image volume": pod(volumes=[{"name": "v", "image": {"reference": "r"}}]),
    "claim, secret, memory": pod(
        volumes=[
            {"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "b", "secret": {"secretName": "s"}},
            {"name": "c", "emptyDir": {"medium": "Memory"}},
        ]
    ),
    "a native sidecar": beside("initContainers", restartPolicy="Always", securityContext=container_context()),
    "resource claims": pod(resourceClaims=[{"name": "gpu"}]),
    "own user namespace": pod(hostUsers=False),
    "a low port": changed(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    "a safe sysctl": of_pod(sysctls=[{"name": "net.ipv4.ping_group_range", "value": "0 1"}]),
    "user given by the namespace": pod(securityContext=pod_context(None)),
}


@pytest.mark.parametrize("case", REFUSED_BY_RESTRICTED)
def test_restricted_refuses(case):
    assert violations(REFUSED_BY_RESTRICTED[case], "restricted")
    assert not violations(REFUSED_BY_RESTRICTED[case], "privileged")


@pytest.mark.parametrize("case", REFUSED_BY_BASELINE)
def test_baseline_refuses(case):
    assert violations(REFUSED_BY_BASELINE[case], "baseline")
    assert violations(REFUSED_BY_BASELINE[case], "restricted")
    assert not violations(REFUSED_BY_BASELINE[case], "privileged")


@pytest.mark.parametrize("case", PASSES)
def test_restricted_lets_pass(case):
    assert violations(PASSES[case], "restricted") == []


def test_each_complaint_names_its_place():
    bad = {**pod(hostNetwork=True), "initContainers": [{"name": "x", "image": "i"}]}
    paths = [path for path, _ in violations(bad, "restricted")]
    assert "hostNetwork" in paths
    assert "initContainers[0].securityContext.allowPrivilegeEscalation" in paths
