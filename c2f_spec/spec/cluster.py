"""A cluster: where Jobs run, what nodes there are, who queues them, how the store is reached.

Everything here is placement: it enters the digest of a plan and no key of a stage. Nothing here is secret: secrets are
named, never written (DESIGN: "Security"). Amounts are Kubernetes quantities and stay text (`960Gi`, `500m`).
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints

from c2f_spec.spec.base import (
    DNS_PATTERN,
    DRIVER_PATTERN,
    ENDPOINT_PATTERN,
    IMAGE_PATTERN,
    LABEL_KEY_PATTERN,
    LABEL_VALUE_PATTERN,
    QUANTITY_PATTERN,
    STORE_PATTERN,
    VARIABLE_PATTERN,
    Name,
    Named,
    SpecModel,
    at_default,
)
from c2f_spec.spec.coefficients import Coefficients

VERSIONS = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
"""Versions of Kubernetes whose schemas rendered objects are checked against: those of `kubernetes-validate`."""

DnsName = Annotated[str, StringConstraints(pattern=DNS_PATTERN, max_length=63)]
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY_PATTERN, max_length=253)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE_PATTERN, max_length=63)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN, max_length=128)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN, max_length=32)]
Image = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN, max_length=512)]
Url = Annotated[str, StringConstraints(pattern=ENDPOINT_PATTERN, max_length=1024)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=1024)]
"""Text without control characters."""


class Toleration(SpecModel):
    """A taint that pods of a pool accept."""

    key: LabelKey | None = Field(default=None, description="Key of the taint; absent: all, with `Exists`.")
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How the value is compared.")
    value: LabelValue | None = Field(default=None, description="Value of the taint, with `Equal`.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; absent: all."
    )


class Rdma(SpecModel):
    """A network between nodes that bypasses the kernel, as a device plugin offers it."""

    resource: LabelKey = Field(
        description="Extended resource of the device plugin.",
        json_schema_extra={"examples": ["rdma/hca_shared_devices_a"]},
    )
    count: PositiveInt = Field(default=1, description="How many a pod of a multi-node stage asks for.")
    networks: Line | None = Field(
        default=None, description="Secondary networks (the annotation `k8s.v1.cni.cncf.io/networks`)."
    )


class Pool(SpecModel):
    """Nodes of one kind. A pod that takes all GPUs of a node asks for all of `cpu`, `memory` and `ephemeral_storage`.

    A pod with fewer GPUs asks for its part of them, one without GPUs for the part of one; in a pool without GPUs, each
    pod asks for all of them.
    """

    gpus: NonNegativeInt = Field(description="GPUs of a node; 0: a pool of processors.")
    gpu: Line | None = Field(default=None, description="Model of the GPU, for example `A800-SXM4-80GB`.")
    gpu_memory: Quantity | None = Field(default=None, description="Memory of one GPU, for example `80Gi`.")
    resource: LabelKey = Field(
        default="nvidia.com/gpu", description="Extended resource that the device plugin calls a GPU."
    )
    nodes: PositiveInt | None = Field(
        default=None, description="How many nodes there are; absent: not known, and no plan is too large."
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels of the nodes."
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints of the nodes.")
    cpu: Quantity = Field(description="Cores of a node that pods may ask for.")
    memory: Quantity = Field(description="Memory of a node that pods may ask for.")
    ephemeral_storage: Quantity = Field(
        description="Disk of a node that pods may ask for: scratch, downloads and caches."
    )
    shm: Quantity = Field(
        default="1Gi", description="`/dev/shm` of a pod that takes a whole node; counts as its memory."
    )
    rdma: Rdma | None = Field(default=None, description="The fast network, for stages of several nodes.")
    nccl: dict[Variable, Line] = Field(
        default_factory=dict, description="NCCL's settings on these nodes, for example `NCCL_IB_HCA`."
    )
    coefficients: Coefficients = Field(
        default=at_default(Coefficients),
        description="What a GPU does in which time, what it holds and what it costs.",
    )


class SecretRef(SpecModel):
    """A Secret of the namespace, and the environment variables that its keys become."""

    name: DnsName = Field(description="Name of the Secret.")
    env: dict[Variable, Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]] = (
        Field(description="Variable to key of the Secret.", min_length=1)
    )


class StoreAccess(SpecModel):
    """How object storage is reached. Without a secret, pods have the workload identity of their service account."""

    endpoint: Url | None = Field(
        default=None, description="URL of an S3-compatible server; absent: that of the provider."
    )
    region: Name | None = Field(default=None, description="Region of the bucket.")
    addressing: Literal["path", "virtual"] = Field(
        default="path", description="Where the bucket's name goes in a URL."
    )
    secret: Name | None = Field(default=None, description="One of `secrets`; absent: workload identity.")
    ca: DnsName | None = Field(
        default=None, description="ConfigMap whose key `ca.crt` has the authorities of the server."
    )


class KueueTopology(SpecModel):
    """How close the pods of one stage must be (Kueue's topology-aware scheduling)."""

    level: LabelKey = Field(description="Node label of a level of the Topology, for example a rack's.")
    mode: Literal["required", "preferred"] = Field(
        default="preferred", description="Wait for room within one such domain, or take what there is."
    )


class DefaultScheduler(SpecModel):
    """The cluster's own. It starts pods one by one, so no stage of several nodes."""

    kind: Literal["default"] = "default"
    priority: DnsName | None = Field(default=None, description="PriorityClass of the pods.")


class Kueue(SpecModel):
    """Jobs wait in a LocalQueue, all pods of one together."""

    kind: Literal["kueue"] = "kueue"
    queue: DnsName = Field(description="LocalQueue of the namespace.")
    priority: DnsName | None = Field(default=None, description="WorkloadPriorityClass of the Jobs.")
    topology: KueueTopology | None = Field(
        default=None, description="How close the pods of a stage of several nodes are."
    )


class Volcano(SpecModel):
    """Volcano schedules the pods, those of one Job together."""

    kind: Literal["volcano"] = "volcano"
    queue: DnsName = Field(description="Queue of Volcano.")
    priority: DnsName | None = Field(default=None, description="PriorityClass of the pods.")


Scheduler = Annotated[
    DefaultScheduler | Kueue | Volcano, Field(discriminator="kind"), Named(default="default")
]


class Proxies(SpecModel):
    """Proxies on the way out of the cluster; no user or password in them."""

    http: Url | None = Field(default=None, description="For `http`.")
    https: Url | None = Field(default=None, description="For `https`.")
    no_proxy: tuple[Line, ...] = Field(default=(), description="Hosts that are reached directly.")


class NoCache(SpecModel):
    """Each pod downloads its inputs into its own scratch."""

    kind: Literal["none"] = "none"


class PvcCache(SpecModel):
    """A claim that pods share: verified downloads stay for the next one."""

    kind: Literal["pvc"] = "pvc"
    claim: DnsName = Field(
        description="PersistentVolumeClaim of the namespace, ReadWriteMany or of one node."
    )


NodeCache = Annotated[NoCache | PvcCache, Field(discriminator="kind"), Named(default="none")]


class Notify(SpecModel):
    """One message when an experiment ends, or a stage fails for good."""

    format: Literal["json", "feishu", "dingtalk", "slack"] = Field(
        default="json", description="What the receiver understands."
    )
    secret: Name = Field(description="One of `secrets`; its variable `C2F_NOTIFY_URL` is the webhook's URL.")


class JobLimits(SpecModel):
    """Deadlines, retries and time to live of a Job. No deadline comes from an estimate."""

    deadline_seconds: PositiveInt | None = Field(
        default=None, description="End a stage's Job after so long, queueing not counted; absent: never."
    )
    retries: NonNegativeInt = Field(
        default=6, description="Failures of storage, network or hardware that one Job survives."
    )
    grace_seconds: PositiveInt = Field(
        default=600, description="Time to save after SIGTERM: more than twice what a checkpoint takes."
    )
    hang_seconds: PositiveInt = Field(
        default=600,
        description="A stage without a step for so long, and for ten median steps, is ended and retried.",
    )
    ttl_seconds: PositiveInt = Field(
        default=7 * 24 * 3600, description="How long a finished Job stays; its logs and results are stored."
    )


class DriverPod(SpecModel):
    """Resources of the driver: a small process that starts each stage when its inputs are committed."""

    cpu: Quantity = Field(default="500m", description="Cores.")
    memory: Quantity = Field(default="512Mi", description="Memory.")
    ephemeral_storage: Quantity = Field(default="1Gi", description="Disk.")


class KubernetesEnvironment(SpecModel):
    """A cluster: a Job a stage."""

    on_this_machine: ClassVar[bool] = False
    has_pools: ClassVar[bool] = True
    requires_pins: ClassVar[bool] = True
    requires_committed_tree: ClassVar[bool] = True
    ships_code: ClassVar[bool] = True

    c2f: Literal["v1"] = Field(description="Version of the language.")
    kind: Literal["kubernetes"] = Field(description="A Job a stage.")
    kubernetes: Literal[VERSIONS] = Field(  # type: ignore[valid-type]
        default="1.34", description="Version of the API server; decides which features are used."
    )
    namespace: DnsName = Field(description="Namespace of the Jobs.")
    pod_security: Literal["restricted", "baseline", "privileged"] = Field(
        default="restricted", description="Level of Pod Security that the namespace enforces."
    )
    store: Annotated[str, Field(pattern=STORE_PATTERN)] = Field(
        description="URL of the store as pods see it, for example `s3://bucket/c2f`."
    )
    access: StoreAccess = Field(default=at_default(StoreAccess), description="How the store is reached.")
    tracking: str | None = Field(
        default=None, description="MLflow tracking URI as the driver sees it, or none."
    )
    tracking_secret: Name | None = Field(
        default=None, description="One of `secrets`, for the tracking server."
    )
    image: Image = Field(description="The runtime's dependencies (k8s/Dockerfile), by digest.")
    driver_image: Image | None = Field(
        default=None, description="The driver (k8s/driver.Dockerfile), by digest; absent: the same image."
    )
    vllm_image: Image | None = Field(
        default=None, description="A server of vLLM, by digest; a teacher of kind `vllm` needs it."
    )
    engine_image: Image | None = Field(
        default=None,
        description="The runtime's dependencies and vLLM, by digest: stages with `engine: vllm` run in it, and need it.",
    )
    python: Line = Field(default="python3", description="The interpreter in the images, by name or by path.")
    pull_secrets: tuple[DnsName, ...] = Field(default=(), description="Secrets for the registry.")
    service_account: DnsName = Field(default="c2f-stage", description="Of stages; no token is mounted.")
    driver_service_account: DnsName = Field(default="c2f-driver", description="Of the driver.")
    run_as_user: PositiveInt | None = Field(
        default=10001, description="User id of the pods; `null`: the namespace gives one (OpenShift)."
    )
    scheduler: Scheduler = Field(
        default=at_default(DefaultScheduler), description="Who decides when and where."
    )
    nvidia_driver: Annotated[str, Field(pattern=DRIVER_PATTERN)] | None = Field(
        default=None, description="Oldest NVIDIA driver of the nodes, for example `535.129.03`."
    )
    pools: dict[Name, Pool] = Field(description="Node pools, by name.", min_length=1)
    cpu_pool: Name = Field(description="The pool of the driver, and of stages without GPUs.")
    secrets: dict[Name, SecretRef] = Field(
        default_factory=dict, description="Secrets that this environment and its specs may name."
    )
    proxies: Proxies = Field(default=at_default(Proxies), description="The way out of the cluster.")
    node_cache: NodeCache = Field(default=at_default(NoCache), description="Where downloads outlive a pod.")
    notify: Notify | None = Field(default=None, description="A webhook that is told of the end.")
    limits: JobLimits = Field(
        default=at_default(JobLimits), description="What ends, retries and outlives a Job."
    )
    driver: DriverPod = Field(default=at_default(DriverPod), description="What the driver asks for.")
    pod_template: dict[str, Any] = Field(
        default_factory=dict,
        description="A part of a pod template that is laid over every stage's; checked like all that is rendered.",
    )
    policy: str | None = Field(
        default=None,
        description="A file of rules that plans must keep: a path that starts at the repository of the spec, or at `/`.",
    )
    demo: bool = Field(
        default=False, description="Accept data, teachers and students that are for demonstrations."
    )
