"""Find parts of a spec that an environment or this version does not run, as problems at their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.plan.pins import needed_datasets, place_of
from c2f_spec.spec import support

if TYPE_CHECKING:
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment


def demo_only_problems(experiment: Experiment, environment: Environment, name: str) -> list[Problem]:
    """Return the parts that are for demonstrations alone, in an environment that refuses them."""
    if environment.demo:
        return []
    found = [
        (place_of(experiment, d), f"data set `{d}`")
        for d in needed_datasets(experiment)
        if experiment.data.known[d].rendered
    ]
    if experiment.student.kind in support.DEMO_STUDENTS:
        found.append((("student",), f"student `{experiment.student.kind}`"))
    if experiment.teacher and experiment.teacher.kind in support.DEMO_TEACHERS:
        found.append((("teacher",), f"teacher `{experiment.teacher.kind}`"))
    hint = f"run it with `--on local`, or say `demo: true` in the environment `{name}`"
    words = f"is for demonstrations, which the environment `{name}` refuses"
    return [Problem("C2F414", loc, f"{what} {words}", hint) for loc, what in found]


def unsupported_problems(experiment: Experiment) -> list[Problem]:
    """Return the parts of a spec that this version's runtime does not support (`c2f_spec/spec/support.py`)."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    if experiment.student.kind not in support.STUDENTS:
        found.append((("student",), f"student kind `{experiment.student.kind}`"))
    if experiment.teacher and experiment.teacher.kind not in support.TEACHERS:
        found.append((("teacher",), f"teacher kind `{experiment.teacher.kind}`"))
    hint = "this version validates and plans it; the README says what runs"
    problems = [
        Problem("C2F415", loc, f"{what} is not supported by this version", hint) for loc, what in found
    ]
    return problems + [_unsupported_value(path, value) for path, value in support.unsupported(experiment)]


def _unsupported_value(path: tuple[str, ...], value: object) -> Problem:
    """Return the problem of a value that this version's runtime does not support."""
    runs = support.supported_values(path) or ()
    where = ".".join(path)
    if None in runs:
        return Problem(
            "C2F416", path, f"`{where}` is not supported by this version", "remove it", at_key=True
        )
    words = " or ".join(f"`{support.format_value(v)}`" for v in runs)
    message = f"`{where}: {support.format_value(value)}` is not supported by this version"
    return Problem("C2F416", path, message, f"it runs {words}")
