"""Check names that may be used, and values that must not be changed."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.plan.pins import model_name
from c2f_spec.policy.load import RuleResult
from c2f_spec.spec.base import SpecModel
from c2f_spec.spec.environment import has_pools
from c2f_spec.spec.experiment import Experiment
from c2f_spec.spec.support import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.plan.model import Plan
    from c2f_spec.policy.load import Level

MOST_NAMED = 5
"""Most names in the detail of a result."""


def check_allowed(level: Level, plan: Plan) -> Iterator[RuleResult]:
    """Yield the results of `allow`."""
    used = {"pools": _pools, "registries": _images, "datasets": _datasets, "models": _models}
    for name, find in used.items():
        patterns = getattr(level.policy.allow, name)
        if patterns is None:
            continue
        found = list(dict.fromkeys(find(plan)))
        wrong = [
            each
            for each in found
            if not any(_matches(each, p, within=name == "registries") for p in patterns)
        ]
        where = level.where(("allow", name))
        if wrong:
            what = "images" if name == "registries" else name
            detail = f"not allowed {what}: {_some(wrong)}"
            yield RuleResult("broken", f"allow.{name}", where, detail, f"allowed: {_some(list(patterns))}")
        else:
            yield RuleResult("kept", f"allow.{name}", where, f"all {len(found)} of the plan are allowed")


def _pools(plan: Plan) -> Iterator[str]:
    yield from (s.placement.pool for s in plan.stages if s.placement.pool is not None)


def _images(plan: Plan) -> Iterator[str]:
    """Yield images without digests: those of the stages, and those that the environment starts besides."""
    images = [s.placement.image for s in plan.stages]
    if has_pools(plan.environment):
        images += [plan.environment.driver_image, plan.environment.vllm_image]
    yield from (image.partition("@")[0] for image in images if image is not None)


def _datasets(plan: Plan) -> Iterator[str]:
    yield from (str(s.preimage["spec"]["dataset"]) for s in plan.stages if s.kind == "prepare")


def _models(plan: Plan) -> Iterator[str]:
    for variant in plan.variants:
        e = variant.experiment
        for model in (e.student, e.teacher):
            name = model_name(model) if model is not None else None
            if name:
                yield name.partition("@")[0]


def _matches(name: str, pattern: str, *, within: bool) -> bool:
    """Return whether a name matches a pattern; with `within`, a pattern covers all that lies in it, too."""
    return fnmatchcase(name, pattern) or (within and fnmatchcase(name, f"{pattern.rstrip('/')}/*"))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def check_fixed(level: Level, plan: Plan) -> Iterator[RuleResult]:
    """Yield the results of `fixed`. Fields of absent sections, or of another kind, are skipped."""
    for path, text in level.policy.fixed.items():
        wanted: dict[type[SpecModel], Any] = {}
        wrong: dict[str, list[str]] = {}
        for variant in plan.variants:
            inside = _inside(variant.experiment, path.split("."))
            if inside is None:
                continue
            section, name = inside
            if type(section) not in wanted:
                wanted[type(section)] = _as_field(variant.experiment, path, text, level)
            value = getattr(section, name)
            if value != wanted[type(section)]:
                wrong.setdefault(format_value(value), []).append(variant.name)
        where, must = level.where(("fixed", path)), next(iter(wanted.values()), text)
        if not wrong:
            yield RuleResult(
                "kept", f"fixed.{path}", where, f"{path} is {format_value(must)} wherever it stands"
            )
        for value, names in wrong.items():
            detail = f"{path} is {value} in {_some(names)}, and must be {format_value(must)}"
            yield RuleResult("broken", f"fixed.{path}", where, detail, f"set {path}: {format_value(must)}")


def _inside(e: Experiment, path: list[str]) -> tuple[SpecModel, str] | None:
    """Return the section that has the field at `path`, and the field's name there."""
    section: Any = e
    for part in path[:-1]:
        section = getattr(section, part, None)
    if not isinstance(section, SpecModel) or path[-1] not in type(section).model_fields:
        return None
    return section, path[-1]


def _as_field(e: Experiment, path: str, value: Any, level: Level) -> Any:
    """Return the value of a rule as the field parses it. Raises `SpecErrors` for a value that the field refuses."""
    *above, last = path.split(".")
    data = e.model_dump()
    inside = data
    for part in above:
        inside = inside[part]
    inside[last] = value
    try:
        changed = Experiment.model_validate(data)
    except ValidationError as error:
        place = level.document.place(("fixed", path))
        message = f"`{path}` cannot be {format_value(value)}: {error.errors(include_url=False)[0]['msg']}"
        hint = f"`c2f-spec explain {path}` says what it can be"
        raise SpecErrors([Diagnostic("C2F473", place, message, hint)]) from None
    found = _inside(changed, path.split("."))
    assert found is not None
    return getattr(*found)
