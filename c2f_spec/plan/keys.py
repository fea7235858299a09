"""Make a plan's stages and their content keys from experiments. Pure.

What is in a stage's key is decided here and nowhere else: the sections of the spec that the stage reads, the code that
it runs, the keys of its inputs, the digests of its data and weights (DESIGN: "Stages, keys, plan"). Stages of equal keys
are one stage of the plan, whichever variants need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidSpec
from c2f_spec.keys import canonical_json, content_key
from c2f_spec.plan.adopted import with_adopted
from c2f_spec.plan.code import HERE, versions
from c2f_spec.plan.model import Plan, Stage, Variant
from c2f_spec.plan.pins import Pins, model_name, used_pins
from c2f_spec.plan.placement import placement_sections, placements
from c2f_spec.spec.base import SpecModel, identity
from c2f_spec.spec.filters import NAMES as FILTER_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.plan.code import SourceTree
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.evaluate import Import
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.handoff import Placement
    from c2f_spec.spec.student import Student
    from c2f_spec.spec.teacher import Teacher


@dataclass(frozen=True, slots=True)
class ExperimentSource:
    """An experiment, its resolved spec as YAML text, and the file that it comes from."""

    experiment: Experiment
    text: str
    file: str = ""
    pins: Pins | None = None
    """Pins of the lock beside its spec: specs of two folders may mean two copies by one name."""


def build_plan(
    sources: list[ExperimentSource],
    pins: Pins,
    environment: Environment,
    environment_name: str,
    specs: Sequence[str] = (),
    code: SourceTree = HERE,
) -> Plan:
    """Return the plan of one or several experiments, named after `specs`; stages that they share appear once."""
    shared = _Shared(environment, code, pins.accepted)
    stages: dict[str, Stage] = {}
    needed_by: dict[str, list[str]] = {}
    variants = []
    for source in sources:
        own_pins = source.pins or pins
        own = with_adopted(_Pipeline(source.experiment, own_pins, shared).stages(), own_pins.adopted)
        for stage in own:
            _assert_one_place(stages.setdefault(stage.key, stage), stage, needed_by, source.experiment.name)
            needed_by.setdefault(stage.key, []).append(source.experiment.name)
        keys = tuple(s.key for s in own)
        variants.append(Variant(source.experiment.name, source.text, keys, source.file, source.experiment))
    names = specs or [v.name for v in variants]
    name = " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"
    merged = tuple(replace(stage, variants=tuple(needed_by[key])) for key, stage in stages.items())
    accepted = {"accept": dict(sorted(shared.accepted_used.items()))} if shared.accepted_used else {}
    return Plan(name, environment, environment_name, tuple(variants), merged, used_pins(merged) | accepted)


def _assert_one_place(
    first: Stage, stage: Stage, needed_by: Mapping[str, Sequence[str]], variant: str
) -> None:
    """Raise `InvalidSpec` if two variants share a stage and place it differently: a stage runs once, in one place."""
    one, other = first.placement, stage.placement
    if one is other or one == other:
        return
    differences = [
        f"{name} {value} and {getattr(other, name)}" for name, value in one if value != getattr(other, name)
    ]
    raise InvalidSpec(
        f"`{needed_by[stage.key][0]}` and `{variant}` share {stage.name}, and place it with {', '.join(differences)}",
        hint=f"write the same under `resources.{stage.kind}` in both: where a stage runs makes no other stage of it",
        code="C2F433",
    )


Members = dict[str, tuple[str, ...]]
"""Members of families of the runtime that a stage uses, such as `{"rewards": ("format", "score")}`."""


@dataclass(slots=True)
class _Shared:
    """Results that a plan's variants share: a thousand variants of a sweep differ in one section each.

    Sections are known by their `id`, which names one section as long as `build_plan` holds all experiments.
    """

    environment: Environment
    code: SourceTree
    accepted: Mapping[str, str]
    """Digest of a file to the digest of its older version that computes the same, from the lock."""
    accepted_used: dict[str, str] = field(default_factory=dict)
    identities: dict[int, dict[str, Any]] = field(default_factory=dict)
    places: dict[tuple[int, ...], dict[str, Placement]] = field(default_factory=dict)
    stages: dict[tuple[str, int], Stage] = field(default_factory=dict)

    def identity(self, section: SpecModel) -> dict[str, Any]:
        if id(section) not in self.identities:
            self.identities[id(section)] = identity(section)
        return self.identities[id(section)]

    def placements(self, experiment: Experiment) -> dict[str, Placement]:
        sections = tuple(map(id, placement_sections(experiment, self.environment)))
        if sections not in self.places:
            self.places[sections] = placements(experiment, self.environment)
        return self.places[sections]

    def code_digests(self, kind: str, members: Members) -> dict[str, str]:
        """Return the code of a stage, path to digest; accepted files have the digest of their oldest version."""
        return {path: self._oldest(digest) for path, digest in self.code.digests(kind, members).items()}

    def _oldest(self, digest: str) -> str:
        chain = versions(digest, self.accepted)
        self.accepted_used |= pairwise(chain)
        return chain[-1]


class _Pipeline:
    """The stages of one experiment. Each method adds the stages of one kind and returns the key of the last."""

    def __init__(self, experiment: Experiment, pins: Pins, shared: _Shared) -> None:
        self.e, self.pins, self.shared = experiment, pins, shared
        self.places = shared.placements(experiment)
        self.added: dict[str, Stage] = {}

    def stages(self) -> list[Stage]:
        """Return all stages, in an order in which they can run."""
        e = self.e
        if e.teacher or e.sft or e.grpo:
            self.prepare(e.data.train)
        chains = self.filter(self.distil()) if e.teacher else None
        models: dict[str, str | None] = {"base": None}
        if e.sft:
            models["sft"] = self.train("sft", {"filter": chains})
        if e.grpo:
            traces = e.grpo.hint.hard_policy == "hint" and e.grpo.hint.content.kind == "trace_prefix"
            inputs = {"start": models.get("sft"), "filter": chains if traces else None}
            models["grpo"] = self.train("grpo", inputs)
        if e.evaluate:
            for checkpoint in e.evaluate.checkpoints:
                for dataset in e.evaluate.datasets:
                    self.evaluate(checkpoint, dataset, models[checkpoint])
            for each in e.evaluate.imported:
                self.imported(each)
            if e.evaluate.baseline != "none":
                self.baseline()
        return list(self.added.values())

    def prepare(self, dataset: str) -> str:
        facts, data = self.e.data.known[dataset], self.e.data
        limit = {split: n for split, n in self.shared.identity(data.limit).items() if split in facts.splits}
        spec: dict[str, Any] = {"dataset": dataset, "limit": limit}
        if facts.rendered:
            spec["render_seed"] = data.render_seed or 0
        for own in data.own:
            if own.name == dataset:
                spec["own"] = self.shared.identity(own)
        pinned = {"name": dataset, "digest": self.pins.datasets[dataset]}
        return self._add(
            "prepare", spec, {}, {"datasets": (facts.reader,)}, f"prepare {dataset}", data=pinned
        )

    def distil(self) -> str:
        assert self.e.teacher is not None
        spec = self._sections("teacher", "format", "media")
        members: Members = {"teachers": (self.e.teacher.kind,)}
        if retried := self._retrying_filters():
            spec["filters"] = {name: self.shared.identity(getattr(self.e.filters, name)) for name in retried}
            members["filters"] = retried
        inputs = {"prepare": self.prepare(self.e.data.train)}
        weights = self._weights(self.e.teacher)
        return self._add("distil", spec, inputs, members, "distil chains of thought", models=weights)

    def _retrying_filters(self) -> tuple[str, ...]:
        """Return filters whose failures make the teacher write another chain; an unreadable chain always does."""
        filters = ((name, getattr(self.e.filters, name, None)) for name in FILTER_NAMES)
        return tuple(name for name, each in filters if each is not None and each.on_fail == "retry")

    def filter(self, distil: str) -> str:
        assert self.e.filters is not None
        named = ("format", *(n for n in FILTER_NAMES if getattr(self.e.filters, n) is not None))
        inputs = {"prepare": self.prepare(self.e.data.train), "distil": distil}
        spec, members = self._sections("filters", "format"), {"filters": named}
        tokenizer: dict[str, str] = {}
        if self.e.filters.length is not None and self.e.filters.length.unit == "tokens":
            student = self.shared.identity(self.e.student)  # whose tokenizer counts
            spec["student"] = {name: student[name] for name in TOKENIZER if name in student}
            members["models"] = (self.e.student.kind,)
            tokenizer = self._weights(self.e.student)
        return self._add("filter", spec, inputs, members, "filter the chains", models=tokenizer)

    def train(self, kind: str, inputs: dict[str, str | None]) -> str:
        """Add the stage of `sft` or `grpo`."""
        spec = self._sections("student", kind, "format", "media", "seed")
        members: Members = {"models": (self.e.student.kind,)}
        label = "supervised fine-tuning"
        if kind == "grpo":
            assert self.e.grpo is not None
            spec["grpo"] = _with_threshold(self.e.grpo, spec["grpo"])
            members["rewards"] = tuple(self.e.grpo.rewards.named())
            label = "reinforcement learning (GRPO)"
        keys = {role: key for role, key in inputs.items() if key}
        keys = {"prepare": self.prepare(self.e.data.train), **keys}
        return self._add(kind, spec, keys, members, label, models=self._weights(self.e.student))

    def evaluate(self, checkpoint: str, dataset: str, model: str | None) -> str:
        assert self.e.evaluate is not None
        section = self.e.evaluate
        spec = self._sections("format", "media", "student")
        spec |= {"checkpoint": checkpoint, "dataset": dataset}
        decoding = {k: v for k, v in self.shared.identity(section).items() if k not in WHICH_CELLS}
        spec["evaluate"] = {"decoding": {}, "score_space": section.score_space} | decoding
        random = model is None and model_name(self.e.student) is None
        if random or section.decoding.temperature > 0:
            spec["seed"] = self.e.seed  # of the untouched student's random weights, or of the sampling
        if section.score_space != "prompt_range":
            train = self.e.data.known[self.e.data.train]
            spec["train_range"] = [train.low, train.high]
        inputs = {"prepare": self.prepare(dataset), **({"model": model} if model else {})}
        label = f"evaluate {checkpoint} on {dataset}"
        members: Members = {"models": (self.e.student.kind,)}
        return self._add("evaluate", spec, inputs, members, label, models=self._weights(self.e.student))

    def imported(self, each: Import) -> str:
        """Add the comparison of another model's predictions with the clips; the model itself does not run here."""
        return self._add(
            "evaluate",
            {"checkpoint": each.name, "dataset": each.dataset, "import": each.predictions},
            {"prepare": self.prepare(each.dataset)},
            {},
            f"import {each.name} on {each.dataset}",
            data={"name": each.predictions, "digest": self.pins.datasets[each.predictions]},
            place=self.places["baseline"],
        )

    def baseline(self) -> str:
        assert self.e.evaluate is not None
        inputs = {"train": self.prepare(self.e.data.train)}
        inputs |= {f"test/{name}": self.prepare(name) for name in self.e.evaluate.datasets}
        spec = {"baseline": "ridge", **self._sections("media")}
        return self._add("baseline", spec, inputs, {}, "ridge baselines")

    def _weights(self, model: Student | Teacher) -> dict[str, str]:
        """Return name and digest of the staged weights that a stage reads; a trained student takes its processor there."""
        name = model_name(model)
        return {name: self.pins.models[name]} if name and name in self.pins.models else {}

    def _sections(self, *names: str) -> dict[str, Any]:
        """Return the identity of sections of the spec, by name."""
        values = {name: getattr(self.e, name) for name in names}
        return {
            name: self.shared.identity(v) if isinstance(v, SpecModel) else v for name, v in values.items()
        }

    def _add(
        self,
        kind: str,
        spec: dict[str, Any],
        inputs: dict[str, str],
        members: Members,
        label: str,
        data: dict[str, str] | None = None,
        models: dict[str, str] | None = None,
        place: Placement | None = None,
    ) -> str:
        """Add a stage and return its key. A variant that reads the same in the same place gets the same stage."""
        place = place or self.places[kind]
        reads = canonical_json([kind, spec, inputs, members, data, models]), id(place)
        if reads not in self.shared.stages:
            code = self.shared.code_digests(kind, members)
            preimage: dict[str, Any] = {"stage": kind, "spec": spec, "code": code}
            preimage |= {"inputs": dict(sorted(inputs.items()))} if inputs else {}
            preimage |= {"data": data} if data else {}
            preimage |= {"models": models} if models else {}
            self.shared.stages[reads] = Stage(content_key(preimage), kind, inputs, preimage, label, place)
        stage = self.shared.stages[reads]
        self.added.setdefault(stage.key, stage)
        return stage.key


TOKENIZER = ("kind", "model", "revision")
"""Fields of `student` that decide its tokenizer."""
WHICH_CELLS = ("checkpoints", "datasets", "baseline", "import")
"""Fields of `evaluate` that say which cells its matrix has, and not how a cell is computed."""


def _with_threshold(grpo: Grpo, keyed: dict[str, Any]) -> dict[str, Any]:
    """Return the identity of a section with the number that `threshold: auto` stands for."""
    trigger = grpo.hint.trigger
    if grpo.hint.hard_policy == "keep" or trigger.kind != "all_below" or trigger.threshold is not None:
        return keyed
    hint = keyed.get("hint", {})
    auto = {"kind": "all_below", **hint.get("trigger", {}), "threshold": grpo.rewards.threshold_range()[1]}
    return {**keyed, "hint": {**hint, "trigger": auto}}
