"""Validate a `Document` against the schema and the checks: an `Experiment`, or every problem at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.language.checks import Problem, check
from c2f_spec.language.schema_errors import describe_error
from c2f_spec.spec.environment import environment_model, has_pools
from c2f_spec.spec.experiment import Experiment

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from c2f_spec.diagnostics.diagnostic import Loc
    from c2f_spec.language.document import Document
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.policy import Policy

MAX_PROBLEMS = 100


ValidatedSections = dict[tuple[str, int], tuple[Any, Any]]
"""Models of sections by field and identity of their data, which is referenced beside the model so that the identity stays."""


def parse(
    document: Document, validated: ValidatedSections | None = None
) -> tuple[Experiment, list[Diagnostic]]:
    """Return the experiment and its warnings. Raises `SpecErrors` with all errors of the schema, else of the checks.

    The checks between sections need valid sections, so they run only without errors of the schema. Variants of a sweep
    share the data of sections; with the same `validated` for all, each section is validated once.
    """
    experiment = (
        _validate(Experiment, document) if validated is None else _validate_shared(document, validated)
    )
    found = [diagnostic(document, problem) for problem in check(experiment)]
    if any(d.severity == "error" for d in found):
        raise SpecErrors(found)
    return experiment, found


def diagnostic(document: Document, problem: Problem) -> Diagnostic:
    """Return the diagnostic of a problem, at its place and with notes on the origin of the value."""
    p = problem
    place, notes = document.place(p.loc, key=p.at_key), document.notes(p.loc, key=p.at_key)
    return Diagnostic(p.code, place, p.message, p.hint, p.severity, notes)


def _validate_shared(document: Document, validated: ValidatedSections) -> Experiment:
    data: dict[str, Any] = document.data
    known = {
        name: validated[name, id(value)][1] if (name, id(value)) in validated else value
        for name, value in data.items()
    }
    experiment: Experiment = _validate(Experiment, document, known)
    for name, value in data.items():
        if isinstance(value, dict) and isinstance(model := getattr(experiment, name), BaseModel):
            validated[name, id(value)] = (value, model)
    return experiment


def parse_environment(document: Document) -> Environment:
    """Return the environment of a file. Raises `SpecErrors`."""
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    environment: Environment = _validate(environment_model(kind), document)
    if has_pools(environment):
        from c2f_spec.language.checks_environment import check_environment

        if found := [diagnostic(document, problem) for problem in check_environment(environment)]:
            raise SpecErrors(found)
    return environment


def parse_policy(document: Document) -> Policy:
    """Return the policy of a file. Raises `SpecErrors`."""
    from c2f_spec.spec.policy import Policy

    policy: Policy = _validate(Policy, document)
    return policy


def _validate(kind: Any, document: Document, data: Any = None) -> Any:
    try:
        return _adapter(kind).validate_python(document.data if data is None else data)
    except ValidationError as error:
        problems = []
        found = error.errors(include_url=False)
        for item in found[:MAX_PROBLEMS]:
            code, message, hint, at_key = describe_error(kind, item)
            loc = _location(item)
            problems.append(
                Diagnostic(
                    code,
                    document.place(loc, key=at_key),
                    message,
                    hint,
                    notes=document.notes(loc, key=at_key),
                )
            )
        if len(found) > MAX_PROBLEMS:
            message = f"too many problems: {len(found) - MAX_PROBLEMS:,} more from here on"
            at = document.place(_location(found[MAX_PROBLEMS]))
            problems.append(Diagnostic("C2F212", at, message, "fix these first"))
        raise SpecErrors(problems) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the validator of a type. Validators are built when first used, so each adapter is built once."""
    return TypeAdapter(kind)


def _location(error: ErrorDetails) -> Loc:
    """Return the location to point at: the section that lacks a field, the `kind` that does not exist."""
    loc = error["loc"]
    if error["type"] == "missing":
        return loc[:-1]
    if error["type"] == "union_tag_invalid":
        return (*loc, str(error["ctx"]["discriminator"]).strip("'"))
    return loc
