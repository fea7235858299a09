"""What completion scripts know: the verbs and options of the parser, paths of fields, values of those that have few."""

from __future__ import annotations

import argparse
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin

from c2f_spec.codes import ENTRIES
from c2f_spec.fields import every_field
from c2f_spec.parse.messages import members
from c2f_spec.spec.base import DISCRIMINATORS, SpecModel, Word

TAKES = {
    "SPEC": "SPEC",
    "PATH": "SPEC",
    "DIR": "DIR",
    "CODE|PATH": "FIELD",
    "PATH=VALUE": "SETTING",
    "ENV": "ENVIRONMENT",
    "STAGE": "STAGE",  # once there is a spec
}
"""What arguments are called in the help → what completes them; the rest is in `_takes`."""


class Verb(NamedTuple):
    """A verb, or a verb of a verb (`data add`), as completion sees it."""

    path: str
    help: str
    verbs: list[str]
    options: dict[str, str]
    """Option → its help."""
    values: dict[str, str]
    """Option, or `""` for arguments → what it takes: words, or one of `TAKES`. The last argument counts."""


def verbs() -> list[Verb]:
    """Every verb of the parser, the empty one first."""
    from c2f_spec.cli.main import parser

    found: list[Verb] = []

    def walk(at: argparse.ArgumentParser, path: str, text: str) -> None:
        verb = Verb(path, text, [], {}, {})
        found.append(verb)
        for action in at._actions:  # noqa: SLF001  argparse has no other way to ask
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                helps = {a.dest: a.help or "" for a in action._choices_actions}  # noqa: SLF001
                for name, inner in action.choices.items():
                    verb.verbs.append(name)
                    walk(inner, f"{path} {name}".strip(), helps.get(name, ""))
                continue
            for option in action.option_strings:
                verb.options[option] = action.help or ""
            if action.nargs != 0:
                verb.values.update(dict.fromkeys(action.option_strings or [""], _takes(action)))

    walk(parser(), "", "")
    return found


def _takes(action: argparse.Action) -> str:
    if action.choices:
        return " ".join(str(c) for c in action.choices)
    if action.dest in ("on", "variant"):
        return "ENVIRONMENT" if action.dest == "on" else "VARIANT"
    return TAKES.get(str(action.metavar), "ANY")


def paths() -> list[str]:
    """Every path that `explain` and `--set` take."""
    return sorted({".".join(found.path) for found in every_field()})


def explained() -> list[str]:
    """What `explain` takes: a path, or a code."""
    return [*paths(), *sorted(ENTRIES)]


def settings() -> list[str]:
    """`path=value` for every value of fields that have few: names, kinds, true and false."""
    return sorted(
        {
            f"{'.'.join(found.path)}={value}"
            for found in every_field()
            for value in _values(found.info.annotation) | _words(found.info.metadata)
        }
    )


def _values(annotation: Any) -> set[str]:
    if annotation is bool:
        return {"true", "false"}
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        kinds = [annotation.model_fields[d] for d in DISCRIMINATORS if d in annotation.model_fields]
        return {str(name) for kind in kinds for name in get_args(kind.annotation)}
    args = get_args(annotation)
    if get_origin(annotation) is Literal:
        return {str(a) for a in args}
    if get_origin(annotation) is tuple:  # a list, which is written in brackets
        return set()
    removed = {"null"} if NoneType in args and members(annotation) else set()
    return removed.union(*(_values(a) for a in args))


def _words(metadata: list[Any]) -> set[str]:
    return {m.word for m in metadata if isinstance(m, Word)}
