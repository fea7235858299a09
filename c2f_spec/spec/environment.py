"""The place where stages run: store, tracking, node pools. The same spec runs in every environment.

Each model answers, as class variables, what the compiler must know of its kind (`on_this_machine`, `has_pools`,
`requires_pins`, `requires_committed_tree`, `ships_code`), so no other module compares `kind` with a name.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import SpecModel, at_default
from c2f_spec.spec.coefficients import Coefficients

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from c2f_spec.spec.cluster import KubernetesEnvironment


class LocalEnvironment(SpecModel):
    """This machine: a child process a stage."""

    on_this_machine: ClassVar[bool] = True
    """Stages share the files, variables and network of the caller; a relative `store` is a folder of the repository."""
    has_pools: ClassVar[bool] = False
    """Stages are placed in `pools`, in images, with `secrets`."""
    requires_pins: ClassVar[bool] = False
    """Every data set and model must be pinned in the lock: the store is not asked while the plan is compiled."""
    requires_committed_tree: ClassVar[bool] = False
    """A launch must come from a commit that others can fetch (`execution/provenance.py`)."""
    ships_code: ClassVar[bool] = False
    """Stages bring their code along as a bundle of the store."""

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


def has_pools(environment: "Environment") -> "TypeIs[KubernetesEnvironment]":
    """Return whether stages of `environment` are placed in node pools; narrows its type for the checker."""
    return environment.has_pools


def environment_model(kind: Any) -> Any:
    """Return the model that validates an environment of this `kind`; the union of all for an unknown kind.

    A cluster's models are two dozen, and `validate` need not wait for them before a spec that stays on this machine.
    """
    if kind == "local":
        return LocalEnvironment
    from c2f_spec.spec.cluster import KubernetesEnvironment

    if kind == "kubernetes":
        return KubernetesEnvironment
    return Annotated[LocalEnvironment | KubernetesEnvironment, Field(discriminator="kind")]
