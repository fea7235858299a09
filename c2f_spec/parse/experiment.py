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
    from c2f_spec.document import Document, Loc

MAX_PROBLEMS = 100


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
        found = error.errors(include_url=False)
        for item in found[:MAX_PROBLEMS]:
            code, message, hint, at_key = explain(kind, item)
            loc = _place(item["type"], item["loc"])
            problems.append(Diagnostic(code, document.place(loc, key=at_key), message, hint))
        if len(found) > MAX_PROBLEMS:
            message = f"and {len(found) - MAX_PROBLEMS:,} more problems from here on"
            at = document.place(_place(found[MAX_PROBLEMS]["type"], found[MAX_PROBLEMS]["loc"]))
            problems.append(Diagnostic("C2F212", at, message, "solve these first"))
        raise SpecErrors(problems) from None


def _place(kind: str, loc: Loc) -> Loc:
    """Where to point: at the section that lacks a field, at the `kind` that does not exist."""
    if kind == "missing":
        return loc[:-1]
    return (*loc, "kind") if kind == "union_tag_invalid" else loc
