"""Substitute parameters: `params:` declares typed values, `${params.x}` refers to one.

    params:
      train: {kind: choice, choices: [ch-sims, cmu-mosi], description: what is trained on}
      beta: {kind: float, default: 0.1, min: 0}

A reference is replaced where it is the whole scalar, anywhere in the file that declares the parameter. It never builds
text: a value that is composed of pieces has no place that a message could point to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

from c2f_spec.diagnostics.diagnostic import Diagnostic, Problems
from c2f_spec.language.suggestions import format_value, suggest
from c2f_spec.language.tree import Kind, Parameter, Source, Tree, is_of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from c2f_spec.diagnostics.diagnostic import Loc, Place


FIELDS = ("kind", "default", "min", "max", "choices", "description")
REFERENCE = re.compile(r"\$\{params\.([^{}]*)\}")


@dataclass(slots=True)
class Scope:
    """The declared parameters, and a diagnostic for each that has no value."""

    parameters: dict[str, Parameter]
    missing: dict[str, Diagnostic]


def parse_declarations(tree: Tree, problems: Problems) -> dict[str, Parameter]:
    """Return the parameters that a file declares."""
    section = tree.data.get("params")
    if section is None:
        return {}
    if not isinstance(section, dict):
        problems.add(tree.values["params",], "C2F511", "`params` must be a map of parameters by name")
        return {}
    found = {}
    for name, fields in section.items():
        parameter = _declaration(tree, name, fields, problems)
        if parameter is not None:
            found[name] = parameter
    return found


def _declaration(tree: Tree, name: str, fields: Any, problems: Problems) -> Parameter | None:
    at: Loc = ("params", name)
    before = len(problems.diagnostics)
    if not isinstance(fields, dict):
        hint = "write for example `{kind: float, default: 0.1, min: 0}`"
        problems.add(tree.values[at], "C2F525", f"parameter `{name}` must be a map", hint)
        return None
    for field in fields:
        if field not in FIELDS:
            problems.add_at_key(
                tree, (*at, field), "C2F525", f"unknown field `{field}`", suggest(field, FIELDS)
            )
    kind = str(fields.get("kind"))
    if kind not in get_args(Kind):
        place = tree.values[(*at, "kind") if "kind" in fields else at]
        message = (
            f"invalid kind `{format_value(kind)}`"
            if "kind" in fields
            else f"missing `kind` of parameter `{name}`"
        )
        problems.add(place, "C2F512", message, suggest(kind, get_args(Kind)))
        return None
    low, high = (_bound(tree, at, bound, kind, problems) for bound in ("min", "max"))
    if low is not None and high is not None and low > high:
        problems.add(tree.values[*at, "max"], "C2F526", f"invalid range: `max` is less than `min`, {low:g}")
    choices = _choices(tree, at, kind, problems)
    default = Source(tree, (*at, "default")) if fields.get("default") is not None else None
    found = Parameter(name, cast("Kind", kind), tree.keys[at], default, low, high, choices)
    if default is not None and len(problems.diagnostics) == before:
        found.check(default, problems)
    return found


def _bound(tree: Tree, at: Loc, bound: str, kind: str, problems: Problems) -> float | None:
    value = tree.data["params"][at[1]].get(bound)
    if value is None:
        return None
    if kind not in ("int", "float"):
        problems.add_at_key(
            tree, (*at, bound), "C2F513", f"`{bound}` is not supported for kind `{kind}`", "remove it"
        )
    elif not is_of_kind("float", value):
        problems.add(
            tree.values[*at, bound], "C2F513", f"`{bound}` must be a number, not `{format_value(value)}`"
        )
    else:
        return float(value)
    return None


def _choices(tree: Tree, at: Loc, kind: str, problems: Problems) -> tuple[str, ...]:
    value = tree.data["params"][at[1]].get("choices")
    if kind != "choice":
        if value is not None:
            hint = "set `kind: choice`, or remove `choices`"
            problems.add_at_key(
                tree, (*at, "choices"), "C2F527", f"`choices` is not supported for kind `{kind}`", hint
            )
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        place = tree.values[(*at, "choices") if value is not None else at]
        problems.add(place, "C2F527", "missing or invalid `choices`: kind `choice` needs a list of values")
        return ()
    return tuple(value)


def substitute(
    tree: Tree, arguments: Mapping[str, Source], link: Place | None, problems: Problems
) -> tuple[Tree, Scope]:
    """Return the file with its parameters replaced by `arguments` (the values of `with`) or defaults.

    `link` is the place of the reference to this file, at which missing arguments are reported.
    """
    parameters = parse_declarations(tree, problems)
    for name, source in arguments.items():
        if name not in parameters:
            problems.add(
                source.key or source.place,
                "C2F514",
                f"unknown parameter `{name}`",
                suggest(name, parameters),
            )
        else:
            parameters[name].check(source, problems)
    scope = Scope(parameters, {})
    filled = tree.copy()
    filled.data = {k: v for k, v in tree.data.items() if k != "params"}
    filled.drop(("params",), tree.data.get("params"))
    used = set()
    references = list(_references(filled.data))
    if references:
        filled.data = _deep_copy(filled.data)
    for loc, text in references:
        whole = REFERENCE.fullmatch(text)
        name = whole.group(1) if whole else ""
        if whole is None:
            hint = "declare a parameter for the whole value"
            message = "a parameter inside a longer text is not supported"
            problems.add(tree.values[loc], "C2F519", message, hint)
        elif name not in parameters:
            problems.add(tree.values[loc], "C2F514", f"unknown parameter `{name}`", suggest(name, parameters))
        else:
            used.add(name)
            _replace(filled, loc, parameters[name], arguments.get(name))
    for name, parameter in parameters.items():
        if name not in used:
            hint = f"write `${{params.{name}}}` where its value belongs, or remove the parameter"
            problems.add(parameter.place, "C2F516", f"unused parameter `{name}`", hint)
        elif name not in arguments and parameter.default is None:
            hint = f"set it in `with`, or add a `default` at {parameter.place}"
            message = f"missing value of parameter `{name}`"
            scope.missing[name] = Diagnostic("C2F515", link or parameter.place, message, hint)
    return filled, scope


def _references(data: Any, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Yield every scalar that refers to a parameter."""
    if isinstance(data, dict):
        for key, inner in data.items():
            yield from _references(inner, (*loc, key))
    elif isinstance(data, list):
        for i, inner in enumerate(data):
            yield from _references(inner, (*loc, i))
    elif isinstance(data, str) and "${params." in data:
        yield loc, data


def _deep_copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _deep_copy(v) for k, v in data.items()}
    return [_deep_copy(v) for v in data] if isinstance(data, list) else data


def _replace(tree: Tree, loc: Loc, parameter: Parameter, argument: Source | None) -> None:
    source = argument or parameter.default
    tree.uses[loc] = parameter
    if source is None:
        return  # `Scope.missing` has the diagnostic; a sweep or `--set` may still set the value
    node: Any = tree.data
    for part in loc[:-1]:
        node = node[part]
    node[loc[-1]] = source.value
    used_at = tree.values[loc]
    tree.values[loc] = source.place
    tree.origins[loc] = (*source.notes, f"used as `${{params.{parameter.name}}}` at {used_at}")
