"""Describe a field for `c2f-spec explain grpo.hint.trigger`: type, default, class, meaning and source.

All of it is read from the models, except the stages that a field re-runs: these are decided in
`c2f_spec/plan/keys.py` and repeated in `RE_RUNS`, and a test changes every field to check that both agree.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from c2f_spec.errors import UsageError
from c2f_spec.language.schema_errors import PATTERN_DESCRIPTIONS, models_of_annotation
from c2f_spec.language.suggestions import suggest
from c2f_spec.spec import support
from c2f_spec.spec.base import DISCRIMINATORS, NOT_IN_PAPER, SpecModel, Word, field_class
from c2f_spec.spec.experiment import Experiment
from c2f_spec.spec.filters import NAMES
from c2f_spec.spec.hint import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

RE_RUNS: dict[str, tuple[str, ...]] = {
    "data": ("prepare",),
    "format": ("distil", "filter", "sft", "grpo", "evaluate"),
    "media": ("distil", "sft", "grpo", "evaluate", "baseline"),
    "student": ("sft", "grpo", "evaluate"),
    # Its tokenizer counts the tokens of chains.
    "student.model": ("filter", "sft", "grpo", "evaluate"),
    "student.revision": ("filter", "sft", "grpo", "evaluate"),
    "teacher": ("distil",),
    "filters": ("filter",),
    # `distil` retries chains, so it depends on `on_fail`.
    **{f"filters.{name}.on_fail": ("distil", "filter") for name in NAMES},
    "sft": ("sft",),
    "grpo": ("grpo",),
    "evaluate": ("evaluate",),
    "evaluate.baseline": ("baseline",),
    "seed": ("sft", "grpo", "evaluate of an untrained tiny student"),
}
"""Path of a section to the stages whose keys it enters; the longest prefix of a path wins (DESIGN: "Stages, keys, plan")."""

CLASSES = {
    "placement": "placement: where or how it runs; a change re-runs nothing",
    "report": "report: how results are shown; a change re-runs nothing",
    "cosmetic": "cosmetic: for people; a change re-runs nothing",
}


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """A field at a path, in one model."""

    path: tuple[str, ...]
    model: type[SpecModel]
    info: FieldInfo
    classes: tuple[str, ...]
    """Classes of the field and of all sections above it."""

    @property
    def kind(self) -> str:
        """The class of the field: `identity`, unless the field or a section above it has another."""
        return next((c for c in self.classes if c != "identity"), "identity")

    @property
    def member(self) -> str:
        """The kind of the union's member that has the field, or `""`."""
        union = any(d in self.model.model_fields for d in DISCRIMINATORS)
        return _tag(self.model) if union and self.path[-1] not in DISCRIMINATORS else ""


def every_field(
    model: type[SpecModel] = Experiment, path: tuple[str, ...] = (), classes: tuple[str, ...] = ()
) -> Iterator[FieldEntry]:
    """Yield all fields, sections before their fields; a field of a union once for each member that has it."""
    for name, info in model.model_fields.items():
        entry = FieldEntry((*path, name), model, info, (*classes, field_class(model, name)))
        yield entry
        for inner in models_of_annotation(info.annotation):
            if issubclass(inner, SpecModel):
                yield from every_field(inner, entry.path, entry.classes)


def re_runs(path: str, kind: str = "identity") -> tuple[str, ...]:
    """Return the kinds of stages whose keys the field at `path` enters."""
    starts = [p for p in RE_RUNS if path == p or path.startswith(f"{p}.")]
    return RE_RUNS[max(starts, key=len)] if starts and kind == "identity" else ()


def explain_field(path: str) -> str:
    """Return the description of a field. Raises `UsageError` with the nearest path if it does not exist."""
    known: dict[str, list[FieldEntry]] = {}
    for entry in every_field():
        known.setdefault(".".join(entry.path), []).append(entry)
    if path not in known:
        raise UsageError(f"unknown field `{path}`", hint=_nearest(path, list(known)))
    return "\n\n".join(_describe(path, alike) for alike in _grouped(known[path]))


def _grouped(entries: list[FieldEntry]) -> list[list[FieldEntry]]:
    """Group the members of a union in which the field has the same type, default and description."""
    groups: dict[tuple[Any, ...], list[FieldEntry]] = {}
    for each in entries:
        same = (each.info.description, repr(each.info.annotation), repr(each.info.default))
        groups.setdefault(same, []).append(each)
    return list(groups.values())


def _nearest(path: str, known: list[str]) -> str:
    """Return a hint with the nearest field below the longest existing prefix of the path."""
    parts = path.split(".")
    while parts:
        *above, last = parts
        start = ".".join(above)
        if not above or start in known:
            inside = [k for k in known if k.rpartition(".")[0] == start]
            hint = suggest(last, [k.rpartition(".")[2] for k in inside])
            return hint.replace("`", f"`{start}.", 1) if start and hint.startswith("did you") else hint
        parts = above
    return ""


def _describe(path: str, alike: list[FieldEntry]) -> str:
    entry = alike[0]
    kinds = ", ".join(f"`{each.member}`" for each in alike if each.member)
    lines = [f"{path}  (of kind {kinds})" if kinds else path]
    lines += [f"  {entry.info.description}"] if entry.info.description else []
    rows = {"type": describe_type(entry.info.annotation, entry.info.metadata), "default": _default(entry)}
    stages = re_runs(path, entry.kind)
    re_run = f"; a change re-runs {', '.join(stages)} and what needs it" if stages else ""
    rows["class"] = CLASSES.get(entry.kind, f"identity{re_run}")
    rows |= {"source": source} if (source := _source(entry)) else {}
    rows |= {"support": values} if (values := _support(entry)) else {}
    lines += ["", *(f"  {name:<9}{text}" for name, text in rows.items())]
    return "\n".join(line.rstrip() for line in [*lines, *_inside(entry)])


def _inside(entry: FieldEntry) -> list[str]:
    """Return the kinds of a union, the fields of a section, or the fields that presets set."""
    if entry.path[-1] == "preset":
        return ["", *(f"    {name:<18}{_as_yaml(fields)}" for name, fields in PRESETS.items())]
    models = [m for m in models_of_annotation(entry.info.annotation) if issubclass(m, SpecModel)]
    if len(models) > 1:
        return ["", *(f"    {' '.join(_tags(m)):<16} {_first(m)}" for m in models)]
    return (
        ["", *(f"    {n:<26}{i.description or ''}" for m in models for n, i in m.model_fields.items())]
        if models
        else []
    )


def _as_yaml(fields: dict[str, Any]) -> str:
    """Return a preset as it would be written in a spec."""
    inside = ", ".join(
        f"{k}: {f'{{{_as_yaml(v)}}}' if isinstance(v, dict) else v}" for k, v in fields.items()
    )
    return inside or "every field at its default: the paper's policy"


def _support(entry: FieldEntry) -> str:
    """Return which values this version's runtime supports, or `""` if it supports all."""
    if any(
        (support.supported_values(entry.path[:n]) or ())[:1] == (None,) for n in range(1, len(entry.path) + 1)
    ):
        return "none: this version validates and plans it, but cannot run it"
    values = support.supported_values(entry.path)
    return f"only {' or '.join(map(support.format_value, values))}" if values else ""


def describe_type(annotation: Any, metadata: list[Any]) -> str:
    """Return a type in words: `number above 0`, `list of text`, `one of a, b`."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return describe_type(inner, [*more, *metadata])
    limits = [m for each in metadata for m in (each.metadata if isinstance(each, FieldInfo) else [each])]
    words = [m.word for m in limits if isinstance(m, Word)]
    args = [a for a in get_args(annotation) if a is not NoneType]
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, args))}" if len(args) > 1 else f"always `{args[0]}`"
    if get_origin(annotation) is tuple:
        return f"list of: {describe_type(args[0], [])}"
    models = models_of_annotation(annotation)
    if models:
        text = (
            "a map of fields"
            if len(models) == 1
            else "one of the kinds below; the name alone is short for a map"
        )
    elif args:
        text = " or ".join(describe_type(a, [m for m in limits if not isinstance(m, Word)]) for a in args)
    else:
        named = {bool: "true or false", int: "whole number", float: "number", str: "text"}
        text = named.get(annotation, "text") + _bounds(limits)
    text += f", or `{words[0]}`" if words else ""
    return f"{text}, or absent" if NoneType in get_args(annotation) and not words else text


BOUNDS = {
    "gt": "above {:g}",
    "ge": "at least {:g}",
    "lt": "below {:g}",
    "le": "at most {:g}",
    "multiple_of": "a multiple of {:g}",
    "min_length": "at least {:g} of them",
    "max_length": "at most {:g} characters",
}


def _bounds(limits: list[Any]) -> str:
    words = [w.format(b) for m in limits for a, w in BOUNDS.items() if (b := getattr(m, a, None)) is not None]
    patterns = [p for m in limits if isinstance(p := getattr(m, "pattern", None), str)]
    return ", ".join(["", *words]) + "".join(f"; {PATTERN_DESCRIPTIONS.get(p, p)}" for p in patterns)


def _default(entry: FieldEntry) -> str:
    if entry.info.is_required():
        return "none: required"
    value = entry.info.get_default(call_default_factory=True)
    if isinstance(value, SpecModel):
        tags = [str(getattr(value, d)) for d in DISCRIMINATORS if d in type(value).model_fields]
        return tags[0] if tags else "every field at its own default"
    if value is None:
        words = [m.word for m in entry.info.metadata if isinstance(m, Word)]
        return words[0] if words else "absent"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'


def _source(entry: FieldEntry) -> str:
    """Return the source of the default that the description names, or `""`."""
    text = entry.info.description or ""
    if text.endswith(NOT_IN_PAPER):
        return "not in the paper: our default"
    cited = re.search(r"\(((?:paper|UFT|LUFFY|DAPO)[^)]*)\)", text)
    return cited[1] if cited else ""


def _tag(model: type[SpecModel]) -> str:
    return _tags(model)[0]


def _tags(model: type[SpecModel]) -> list[str]:
    """Return the tags of a member of a union; for other models the name of the class."""
    fields = [model.model_fields[d] for d in DISCRIMINATORS if d in model.model_fields]
    return [str(word) for word in get_args(fields[0].annotation)] if fields else [model.__name__]


def _first(model: type[SpecModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
