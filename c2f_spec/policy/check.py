"""Check a plan against every rule of every policy file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cost.gpu_hours import GpuHours, total
from c2f_spec.plan.costs import TO_RUN
from c2f_spec.policy.allowed import check_allowed, check_fixed
from c2f_spec.policy.load import RuleResult
from c2f_spec.store.ledger import gpu_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.policy.load import Level
    from c2f_spec.spec.handoff import Entry
    from c2f_spec.spec.policy import Budget


class PlannedUse(NamedTuple):
    """A plan, its user and project, and the GPU-hours in the ledger."""

    plan: Plan
    user: str
    month: str
    """The current month, as `2026-11`."""
    spent: Sequence[Entry] | None
    """The ledger; none where the store was not use."""

    def hours(self, wanted: Callable[[Stage], bool] = lambda _: True) -> GpuHours:
        """Return the GPU-hours of stages that would run."""
        return total(s.gpu_hours for s in self.plan.stages if s.action in TO_RUN and wanted(s))


def check_plan_limits(level: Level, use: PlannedUse) -> Iterator[RuleResult]:
    """Yield the results of `limits.plan`."""
    most = level.policy.limits.plan
    hours, to_run = use.hours(), sum(s.action in TO_RUN for s in use.plan.stages)
    if most.gpu_hours is not None:
        found = _hours_that_count(hours, level)
        detail = f"the plan would run {found:,.0f} GPU-hours at {_end(level)} ({hours.basis}), the limit is {most.gpu_hours:,g}"
        hint = "run a part of it first, with --until or fewer variants"
        yield _result(level, ("plan", "gpu_hours"), found <= most.gpu_hours, detail, hint)
    for name, count, limit in (
        ("variants", len(use.plan.variants), most.variants),
        ("stages", to_run, most.stages),
    ):
        if limit is not None:
            detail = f"the plan has {count:,} {name}{' to run' if name == 'stages' else ''}, the limit is {limit:,}"
            yield _result(level, ("plan", name), count <= limit, detail, "split it into several")


def check_budgets(level: Level, use: PlannedUse) -> Iterator[RuleResult]:
    """Yield the results of `limits.user`, `project`, `projects` and `everyone`."""
    limits = level.policy.limits
    yield from _budget(level, use, ("user",), limits.user, f"user {use.user}", _of_user(use.user), None)
    project_of = {v.name: v.experiment.project for v in use.plan.variants}
    for project in dict.fromkeys(project_of.values()):
        named = project in limits.projects
        at = ("projects", project) if named else ("project",)
        budget = limits.projects[project] if named else limits.project
        mine = {s.key for s in use.plan.stages if s.variants and project_of[s.variants[0]] == project}
        yield from _budget(level, use, at, budget, f"project {project}", _of_project(project), mine)
    yield from _budget(level, use, ("everyone",), limits.everyone, "everyone", lambda _: True, None)


def has_budgets(levels: Sequence[Level], span: str = "") -> bool:
    """Return whether any rule needs the ledger; with `span`, whether one is on that span."""
    return any(
        getattr(budget, name) is not None
        for level in levels
        for budget in (
            level.policy.limits.user,
            level.policy.limits.project,
            level.policy.limits.everyone,
            *level.policy.limits.projects.values(),
        )
        for name in ((span,) if span else ("month", "total"))
    )


def _of_user(user: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.account.user == user


def _of_project(project: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.account.project == project


def _budget(
    level: Level,
    use: PlannedUse,
    at: tuple[str, ...],
    budget: Budget,
    whose: str,
    counts: Callable[[Entry], bool],
    stages: set[str] | None,
) -> Iterator[RuleResult]:
    """Add spent hours and those of the plan; `stages` selects those that count."""
    more = use.hours(lambda s: stages is None or s.key in stages)
    for span, limit in (("month", budget.month), ("total", budget.total)):
        if limit is None:
            continue
        if use.spent is None:
            detail = f"{limit:,g} GPU-hours of {whose}: the ledger was not read"
            yield RuleResult(
                "unchecked", ".".join(("limits", *at, span)), level.where(("limits", *at, span)), detail
            )
            continue
        before = sum(
            gpu_hours(e) for e in use.spent if counts(e) and (span == "total" or e.started[:7] == use.month)
        )
        found = before + _hours_that_count(more, level)
        when = f"in {use.month}" if span == "month" else "in all"
        detail = (
            f"{whose} would come to {found:,.0f} GPU-hours {when}, {before:,.1f} spent and the plan at {_end(level)}, "
            f"the limit is {limit:,g}"
        )
        hint = "`c2f-spec usage` shows what was spent; run a part of it, or ask whose policy it is"
        # What runs nothing takes nothing: a plan of stored stages is allowed beyond any budget.
        kept = found <= limit or not more.high
        yield _result(level, (*at, span), kept, detail, hint)


def _hours_that_count(hours: GpuHours, level: Level) -> float:
    return hours.low if level.policy.counts == "low" else hours.high


def _end(level: Level) -> str:
    return "least" if level.policy.counts == "low" else "most"


def _result(level: Level, at: tuple[str, ...], kept: bool, detail: str, hint: str) -> RuleResult:
    rule, where = ".".join(("limits", *at)), level.where(("limits", *at))
    return (
        RuleResult("kept", rule, where, detail) if kept else RuleResult("broken", rule, where, detail, hint)
    )


def check_policy(levels: Sequence[Level], use: PlannedUse) -> list[RuleResult]:
    """Return a result for each rule, or several for a rule that is broken in several ways; the nearest file first."""
    return [
        result
        for level in levels
        for result in (
            *check_plan_limits(level, use),
            *check_budgets(level, use),
            *check_allowed(level, use.plan),
            *check_fixed(level, use.plan),
        )
    ]
