"""The rules of a site, or of a project in it: limits, lists of what may be used, values that must not be changed.

An environment names its policy. A policy may stand below another one (`above`), and then both hold: no level can allow
what a level above it does not.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, StringConstraints

from c2f_spec.spec.base import Name, SpecModel, at_default

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""A name; `*` stands for any characters."""


class PlanLimits(SpecModel):
    """Limits of one plan."""

    gpu_hours: NonNegativeFloat | None = Field(default=None, description="GPU-hours that it would run.")
    variants: PositiveInt | None = Field(default=None, description="Experiments.")
    stages: PositiveInt | None = Field(default=None, description="Stages that it would run.")


class Budget(SpecModel):
    """GPU-hours that the ledger may come to, what the plan would run included."""

    month: NonNegativeFloat | None = Field(default=None, description="In a month, by UTC.")
    total: NonNegativeFloat | None = Field(default=None, description="Ever.")


class PolicyLimits(SpecModel):
    """Amounts. What is absent has no limit."""

    plan: PlanLimits = Field(default=at_default(PlanLimits), description="Of one plan.")
    user: Budget = Field(default=at_default(Budget), description="Of each user.")
    project: Budget = Field(default=at_default(Budget), description="Of each project.")
    projects: dict[Name, Budget] = Field(
        default_factory=dict, description="Of projects by name, instead of `project`."
    )
    everyone: Budget = Field(default=at_default(Budget), description="Of all together.")


class Allow(SpecModel):
    """Names, with `*` for any characters. What is absent is not restricted."""

    pools: tuple[Pattern, ...] | None = Field(default=None, description="Node pools.")
    registries: tuple[Pattern, ...] | None = Field(
        default=None, description="Where images come from: a registry, or a part of one."
    )
    datasets: tuple[Pattern, ...] | None = Field(default=None, description="Data sets.")
    models: tuple[Pattern, ...] | None = Field(default=None, description="Repositories of weights.")


class Policy(SpecModel):
    """A file of rules. Each is checked by `plan` and `apply`, and told with its line."""

    c2f: Literal["v1"] = Field(description="Version of the language.")
    kind: Literal["policy"] = Field(description="A file of rules.")
    name: Name = Field(description="Whose rules, for messages: the site, or a project.")
    above: str | None = Field(
        default=None, description="A policy that holds as well: a path relative to this file."
    )
    counts: Literal["low", "high"] = Field(
        default="high", description="Which end of a range of GPU-hours is held against limits."
    )
    limits: PolicyLimits = Field(default=at_default(PolicyLimits), description="Amounts.")
    allow: Allow = Field(default=at_default(Allow), description="What may be used.")
    fixed: dict[str, Any] = Field(
        default_factory=dict,
        description="Paths of fields to the values that they must have, where an experiment has them.",
    )
