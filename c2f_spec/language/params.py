"""`params:` and `${params.x}`: typed values that a template is given.

    params:
      train: {kind: choice, choices: [ch-sims, cmu-mosi], description: what is trained on}
      beta: {kind: float, default: 0.1, min: 0}

A parameter is replaced where `${params.x}` is the whole scalar, anywhere in the file that declares it and as often as it
is wanted. It never builds text: a value that is put together from pieces has no place that a message could point to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

from c2f_spec.diagnostics.diagnostic import Problems
from c2f_spec.language.suggestions import format_value, suggest
from c2f_spec.language.tree import Kind, Parameter, Source, Tree, _is

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from c2f_spec.diagnostics.diagnostic import Diagnostic, Loc, Place


FIELDS = ("kind", "default", "min", "max", "choices", "description")
REFERENCE = re.compile(r"\$\{params\.([^{}]*)\}")


@dataclass(slots=True)
class Scope:
    """Parameters by name, and those that nobody gave a value yet, with the complaint about it."""

    parameters: dict[str, Parameter]
    missing: dict[str, Diagnostic]


def parse_declarations(tree: Tree, problems: Problems) -> dict[str, Parameter]:
    """The parameters of a file."""
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
        hint = "for example `{kind: float, default: 0.1, min: 0}`"
        problems.add(tree.values[at], "C2F525", f"`{name}` must be declared by a map", hint)
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
            f"no kind `{format_value(kind)}` of parameter" if "kind" in fields else f"`{name}` has no `kind`"
        )
        problems.add(place, "C2F512", message, suggest(kind, get_args(Kind)))
        return None
    low, high = (_bound(tree, at, bound, kind, problems) for bound in ("min", "max"))
    if low is not None and high is not None and low > high:
        problems.add(tree.values[*at, "max"], "C2F526", f"`max` is below `min`, {low:g}")
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
            tree, (*at, bound), "C2F513", f"`{bound}` has no meaning for kind `{kind}`", "remove it"
        )
    elif not _is("float", value):
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
            hint = "use kind `choice`, or remove it"
            problems.add_at_key(
                tree, (*at, "choices"), "C2F527", f"`choices` has no meaning for kind `{kind}`", hint
            )
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        place = tree.values[(*at, "choices") if value is not None else at]
        problems.add(place, "C2F527", "kind `choice` needs a list of values in `choices`")
        return ()
    return tuple(value)


def substitute(
    tree: Tree, given: Mapping[str, Source], link: Place | None, problems: Problems
) -> tuple[Tree, Scope]:
    """The file with its parameters replaced. `given` are the values of `with`, and `link` says where they belong."""
    parameters = parse_declarations(tree, problems)
    for name, source in given.items():
        if name not in parameters:
            problems.add(
                source.key or source.place,
                "C2F514",
                f"no parameter `{name}`",
                suggest(name, parameters),
            )
        else:
            parameters[name].check(source, problems)
    scope = Scope(parameters, {})
    filled = tree.copy()
    filled.data = {k: v for k, v in tree.data.items() if k != "params"}
    filled.drop(("params",), tree.data.get("params"))
    used = set()
    marked = list(_marked(filled.data))
    if marked:
        filled.data = _copied(filled.data)
    for loc, text in marked:
        whole = REFERENCE.fullmatch(text)
        name = whole.group(1) if whole else ""
        if whole is None:
            hint = "a parameter is a whole value: declare one that holds all of it"
            problems.add(tree.values[loc], "C2F519", "a parameter within a longer text", hint)
        elif name not in parameters:
            problems.add(tree.values[loc], "C2F514", f"no parameter `{name}`", suggest(name, parameters))
        else:
            used.add(name)
            _replace(filled, loc, parameters[name], given.get(name))
    for name, parameter in parameters.items():
        if name not in used:
            hint = f"write `${{params.{name}}}` where its value belongs, or remove it"
            problems.add(parameter.place, "C2F516", f"nothing uses the parameter `{name}`", hint)
        elif name not in given and parameter.default is None:
            complaint = Problems()
            hint = f"give it in `with`, or a `default` at {parameter.place}"
            complaint.add(link or parameter.place, "C2F515", f"the parameter `{name}` has no value", hint)
            scope.missing[name] = complaint.diagnostics[0]
    return filled, scope


def _marked(data: Any, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Every scalar with a parameter in it."""
    if isinstance(data, dict):
        for key, inner in data.items():
            yield from _marked(inner, (*loc, key))
    elif isinstance(data, list):
        for i, inner in enumerate(data):
            yield from _marked(inner, (*loc, i))
    elif isinstance(data, str) and "${params." in data:
        yield loc, data


def _copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _copied(v) for k, v in data.items()}
    return [_copied(v) for v in data] if isinstance(data, list) else data


def _replace(tree: Tree, loc: Loc, parameter: Parameter, given: Source | None) -> None:
    source = given or parameter.default
    tree.uses[loc] = parameter
    if source is None:
        return  # the complaint stands in `Scope.missing`, unless a sweep or `--set` gives the value
    node: Any = tree.data
    for part in loc[:-1]:
        node = node[part]
    node[loc[-1]] = source.value
    used_at = tree.values[loc]
    tree.values[loc] = source.place
    tree.origins[loc] = (*source.notes, f"used as `${{params.{parameter.name}}}` at {used_at}")
