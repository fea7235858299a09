"""The place: store, tracking, node pools. A spec says the science; the same spec runs in every environment."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import SpecModel, at_default
from c2f_spec.spec.coefficients import Coefficients

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment


class LocalEnvironment(SpecModel):
    """This machine: a child process a stage."""

    c2f: Literal["v1"] = Field(description="Version of the language.")
    kind: Literal["local"] = Field(description="A child process a stage.")
    store: str = Field(
        description="A folder, relative to the repository of the spec, or `s3://bucket/prefix`."
    )
    tracking: str | None = Field(default=None, description="MLflow tracking URI, or none.")
    parallel: PositiveInt = Field(default=1, description="Stages that may run at once.")
    threads: PositiveInt = Field(
        default=1, description="Threads of each stage's arithmetic (OMP_NUM_THREADS)."
    )
    gpus: NonNegativeInt = Field(
        default=0, description="GPUs of this machine, for what a plan costs; a stage uses those that it sees."
    )
    coefficients: Coefficients = Field(
        default=at_default(Coefficients), description="What they do in which time."
    )
    grace_seconds: PositiveInt = Field(
        default=30, description="Time to save after SIGTERM; whatever is not saved then is lost."
    )
    hang_seconds: PositiveInt = Field(
        default=600,
        description="A stage without a step for so long, and for ten median steps, is ended and retried.",
    )
    policy: str | None = Field(
        default=None,
        description="A file of rules that plans must keep: a path that starts at the repository of the spec, or at `/`.",
    )
    demo: bool = Field(
        default=False, description="Accept data, teachers and students that are for demonstrations."
    )


if TYPE_CHECKING:
    Environment = LocalEnvironment | KubernetesEnvironment


def environment_model(kind: Any) -> Any:
    """What validates an environment of this `kind`; the union of all if there is no such kind.

    A cluster's models are two dozen, and `validate` need not wait for them before a spec that stays on this machine.
    """
    if kind == "local":
        return LocalEnvironment
    from c2f_spec.spec.cluster import KubernetesEnvironment

    if kind == "kubernetes":
        return KubernetesEnvironment
    return Annotated[LocalEnvironment | KubernetesEnvironment, Field(discriminator="kind")]
