"""`Document` → `Experiment` or every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from c2f_spec.errors import Diagnostic, SpecErrors
from c2f_spec.parse.checks import check
from c2f_spec.parse.messages import explain
from c2f_spec.spec.environment import Environment
from c2f_spec.spec.experiment import Experiment

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from c2f_spec.document import Document, Loc


def parse(document: Document) -> tuple[Experiment, list[Diagnostic]]:
    """The experiment and its warnings. Raises `SpecErrors` with all errors of the schema, else of the cross-checks.

    The cross-checks need every section to be well-formed, so they speak only when the schema is content.
    """
    experiment = _validate(Experiment, document)
    found = [
        Diagnostic(p.code, document.place(p.loc, key=p.at_key), p.message, p.hint, p.severity)
        for p in check(experiment)
    ]
    if any(d.severity == "error" for d in found):
        raise SpecErrors(found)
    return experiment, found


def parse_environment(document: Document) -> Environment:
    """Raises `SpecErrors`."""
    environment: Environment = _validate(Environment, document)
    return environment


def _validate(kind: Any, document: Document) -> Any:
    try:
        return TypeAdapter(kind).validate_python(document.data)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False):
            code, message, hint, at_key = explain(kind, item)
            loc = _place(item)
            problems.append(Diagnostic(code, document.place(loc, key=at_key), message, hint))
        raise SpecErrors(problems) from None


def _place(error: ErrorDetails) -> Loc:
    """Where to point: at the section that lacks a field, at the `kind` that does not exist."""
    loc = error["loc"]
    if error["type"] == "missing":
        return loc[:-1]
    if error["type"] == "union_tag_invalid":
        return (*loc, str(error["ctx"]["discriminator"]).strip("'"))
    return loc
