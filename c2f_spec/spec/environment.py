"""The place: store, tracking, node pools. A spec says the science; the same spec runs in every environment."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import SpecModel


class LocalEnvironment(SpecModel):
    """This machine: a child process a stage."""

    c2f: Literal["v1"] = Field(description="Version of the language.")
    kind: Literal["local"] = Field(description="A child process a stage.")
    store: str = Field(description="A folder, relative to the repository of the spec.")
    tracking: str | None = Field(default=None, description="MLflow tracking URI, or none.")
    parallel: PositiveInt = Field(default=1, description="Stages that may run at once.")
    threads: PositiveInt = Field(
        default=1, description="Threads of each stage's arithmetic (OMP_NUM_THREADS)."
    )
    demo: bool = Field(
        default=False, description="Accept data, teachers and students that are for demonstrations."
    )


class Pool(SpecModel):
    """Nodes of one kind."""

    gpus: NonNegativeInt = Field(description="GPUs of a node.")
    gpu: str = Field(description="Model of the GPU, for example `A800-SXM4-80GB`.")


class KubernetesEnvironment(SpecModel):
    """A cluster. What this version needs to plan for it; rendering and submitting come with the Kubernetes target."""

    c2f: Literal["v1"] = Field(description="Version of the language.")
    kind: Literal["kubernetes"] = Field(description="A Job a stage.")
    namespace: str = Field(description="Namespace of the Jobs.")
    store: str = Field(description="fsspec URL of the store, for example `s3://bucket/c2f`.")
    tracking: str | None = Field(default=None, description="MLflow tracking URI, or none.")
    pools: dict[str, Pool] = Field(description="Node pools, by name.")
    demo: bool = Field(
        default=False, description="Accept data, teachers and students that are for demonstrations."
    )


Environment = Annotated[LocalEnvironment | KubernetesEnvironment, Field(discriminator="kind")]
