"""`Experiment` → stages with their content keys. Pure.

What is in a stage's key is decided here and nowhere else: the sections of the spec that it reads, the code that it can
reach, the keys of its inputs, the digests of data and weights. Instances that several variants need are one stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidSpec
from c2f_spec.keys import canonical_json, content_key
from c2f_spec.plan.adopted import with_adopted
from c2f_spec.plan.code import HERE, Code
from c2f_spec.plan.model import Plan, Stage, Variant
from c2f_spec.plan.pins import Pins, model_name, used_pins
from c2f_spec.plan.placement import decided_by, placements
from c2f_spec.spec.base import SpecModel, identity
from c2f_spec.spec.filters import NAMES as FILTER_NAMES
from c2f_spec.spec.grpo import REWARD_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.evaluate import Import
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.handoff import Placement
    from c2f_spec.spec.student import Student
    from c2f_spec.spec.teacher import Teacher


def resolved(grpo: Grpo) -> dict[str, Any]:
    """The identity of a section with `auto` replaced by its number: the weights of the format and polarity rewards together."""
    spec = identity(grpo)
    asked, rewards = grpo.hint.trigger, grpo.rewards
    if grpo.hint.hard_policy == "keep" or asked.kind != "all_below" or asked.threshold is not None:
        return spec
    assert rewards.format is not None
    assert rewards.polarity is not None
    hint = spec.get("hint", {})
    trigger = {
        **hint.get("trigger", {"kind": "all_below"}),
        "threshold": rewards.format.weight + rewards.polarity.weight,
    }
    return {**spec, "hint": {**hint, "trigger": trigger}}


# What is derived once for all variants of a plan: identities of sections, digests of code, places, stages.


Families = dict[str, tuple[str, ...]]
"""Kinds of the runtime that a stage names, by folder: what of it the stage can reach."""


@dataclass(slots=True)
class Made:
    """What was made for other variants of the same plan: a thousand variants share most of it.

    Models and what is derived of them are known by their `id`, and kept, so that no other object gets the same one.
    """

    source: Code
    accepted: Mapping[str, str]
    used: dict[str, str] = field(default_factory=dict)
    """What of `accepted` some stage's code is."""

    derived: dict[tuple[str, int], tuple[SpecModel, dict[str, Any]]] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    """Of what was derived."""
    codes: dict[tuple[Any, ...], dict[str, str]] = field(default_factory=dict)
    stages: dict[tuple[Any, ...], Stage] = field(default_factory=dict)
    placed: dict[tuple[int, ...], tuple[Experiment, dict[str, Placement]]] = field(default_factory=dict)

    def places(self, e: Experiment, environment: Environment) -> dict[str, Placement]:
        """`placements`, once for variants that agree in what decides them."""
        at = tuple(map(id, decided_by(e, environment)))
        if at not in self.placed:
            self.placed[at] = (e, placements(e, environment))
        return self.placed[at][1]

    def of(self, model: SpecModel, derive: Callable[[Any], dict[str, Any]] = identity) -> dict[str, Any]:
        """`derive(model)`, once."""
        at = (derive.__name__, id(model))
        if at not in self.derived:
            self.derived[at] = (model, derive(model))
            self.kept.add(id(self.derived[at][1]))
        return self.derived[at][1]

    def code(self, kind: str, families: Families) -> dict[str, str]:
        at = (kind, *families.items())
        if at not in self.codes:
            self.codes[at] = self._accepted(self.source.of(kind, families))
        return self.codes[at]

    def _accepted(self, code: dict[str, str]) -> dict[str, str]:
        """Keyed by what was declared to compute the same, back to the first that did."""
        found = {}
        for path, digest in code.items():
            seen = {digest}
            while (older := self.accepted.get(digest)) and older not in seen:
                self.used[digest] = older
                digest = older  # noqa: PLW2901
                seen.add(digest)
            found[path] = digest
        return found

    def mark(self, value: Any) -> Any:
        """Equal for equal values, and cheap for what was derived here."""
        return id(value) if id(value) in self.kept else canonical_json(value)


CELL = ("checkpoints", "datasets", "baseline", "import")
"""Of `evaluate`: which cells its matrix has, and not how one is computed."""


@dataclass(frozen=True, slots=True)
class Given:
    """An experiment, the text that it was written as, and the file that it comes from."""

    experiment: Experiment
    text: str
    file: str = ""
    pins: Pins | None = None
    """Of the lock beside its spec; specs of two folders may mean two copies by one name."""


def build(
    sources: list[Given],
    pins: Pins,
    environment: Environment,
    environment_name: str,
    specs: Sequence[str] = (),
    code: Code = HERE,
) -> Plan:
    """The plan of one or several experiments; stages that they share appear once. `specs` are named by the plan."""
    made = Made(code, pins.accepted)
    stages: dict[str, Stage] = {}
    needed_by: dict[str, list[str]] = {}
    variants = []
    for source in sources:
        places = made.places(source.experiment, environment)
        given = source.pins or pins
        own = with_adopted(_Pipeline(source.experiment, given, places, made).stages(), given.adopted)
        for stage in own:
            _one_place(stages.setdefault(stage.key, stage), stage, needed_by, source.experiment.name)
            needed_by.setdefault(stage.key, []).append(source.experiment.name)
        keys = tuple(s.key for s in own)
        variants.append(Variant(source.experiment.name, source.text, keys, source.file, source.experiment))
    named = specs or [v.name for v in variants]
    name = " and ".join(named) if len(named) < 3 else f"{named[0]} and {len(named) - 1} more"
    merged = tuple(replace(stage, variants=tuple(needed_by[key])) for key, stage in stages.items())
    lock = used_pins(merged) | ({"accept": dict(sorted(made.used.items()))} if made.used else {})
    return Plan(name, environment, environment_name, tuple(variants), merged, lock)


def _one_place(standing: Stage, stage: Stage, needed_by: Mapping[str, Sequence[str]], variant: str) -> None:
    """A stage runs once, so all who need it must want it in one place. Raises `InvalidSpec` naming two who do not."""
    here, there = standing.placement, stage.placement
    if here is there or here == there:
        return
    differ = [
        f"{field} {value} and {getattr(there, field)}"
        for field, value in here
        if value != getattr(there, field)
    ]
    raise InvalidSpec(
        f"`{needed_by[stage.key][0]}` and `{variant}` share {stage.name}, and place it with {', '.join(differ)}",
        hint=f"say the same under `resources.{stage.kind}` in both: where a stage runs makes no other stage of it",
        code="C2F433",
    )


class _Pipeline:
    """The stages of one experiment. Each method adds one kind and returns its key, or `None` if there is none."""

    def __init__(self, experiment: Experiment, pins: Pins, places: dict[str, Placement], made: Made) -> None:
        self.e, self.pins, self.places, self.made = experiment, pins, places, made
        self.done: dict[str, Stage] = {}

    def stages(self) -> list[Stage]:
        """In an order in which they can run."""
        e = self.e
        if e.teacher or e.sft or e.grpo:
            self.prepare(e.data.train)
        kept = self.filter(self.distil()) if e.teacher else None
        models: dict[str, str | None] = {"base": None}
        if e.sft:
            models["sft"] = self.train("sft", {"filter": kept})
        if e.grpo:
            traces = e.grpo.hint.hard_policy == "hint" and e.grpo.hint.content.kind == "trace_prefix"
            given = {"start": models.get("sft"), "filter": kept if traces else None}
            models["grpo"] = self.train("grpo", given)
        if e.evaluate:
            for checkpoint in e.evaluate.checkpoints:
                for dataset in e.evaluate.datasets:
                    self.evaluate(checkpoint, dataset, models[checkpoint])
            for each in e.evaluate.imported:
                self.imported(each)
            if e.evaluate.baseline != "none":
                self.baseline()
        return list(self.done.values())

    def prepare(self, dataset: str) -> str:
        facts, data = self.e.data.known[dataset], self.e.data
        limit = {split: n for split, n in self.made.of(data.limit).items() if split in facts.splits}
        spec: dict[str, Any] = {"dataset": dataset, "limit": limit}
        if facts.rendered:
            spec["render_seed"] = data.render_seed or 0
        for one in data.own:
            if one.name == dataset:
                spec["own"] = self.made.of(one)
        pinned = {"name": dataset, "digest": self.pins.datasets[dataset]}
        return self._add(
            "prepare", spec, {}, {"datasets": (facts.reader,)}, f"prepare {dataset}", data=pinned
        )

    def distil(self) -> str:
        assert self.e.teacher is not None
        spec = self._sections("teacher", "format", "media")
        families: Families = {"teachers": (self.e.teacher.kind,)}
        if again := self._asked_again():
            spec["filters"] = {name: self.made.of(getattr(self.e.filters, name)) for name in again}
            families["filters"] = again
        inputs = {"prepare": self.prepare(self.e.data.train)}
        weights = self._weights(self.e.teacher)
        return self._add("distil", spec, inputs, families, "distil chains of thought", models=weights)

    def _asked_again(self) -> tuple[str, ...]:
        """Filters whose failing makes the teacher write another chain; what cannot be read always does."""
        found = ((name, getattr(self.e.filters, name, None)) for name in FILTER_NAMES)
        return tuple(name for name, each in found if each is not None and each.on_fail == "retry")

    def filter(self, distil: str) -> str:
        assert self.e.filters is not None
        named = ("format", *(n for n in FILTER_NAMES if getattr(self.e.filters, n) is not None))
        inputs = {"prepare": self.prepare(self.e.data.train), "distil": distil}
        spec, families = self._sections("filters", "format"), {"filters": named}
        tokenizer: dict[str, str] = {}
        if self.e.filters.length is not None and self.e.filters.length.unit == "tokens":
            spec |= self._sections("student")  # whose tokenizer counts
            families["models"] = (self.e.student.kind,)
            tokenizer = self._weights(self.e.student)
        return self._add("filter", spec, inputs, families, "filter the chains", models=tokenizer)

    def train(self, kind: str, given: dict[str, str | None]) -> str:
        """`sft` or `grpo`."""
        spec = self._sections("student", kind, "format", "media", "seed")
        families: Families = {"models": (self.e.student.kind,)}
        label = "supervised fine-tuning"
        if kind == "grpo":
            assert self.e.grpo is not None
            spec["grpo"] = self.made.of(self.e.grpo, resolved)
            families["rewards"] = tuple(
                n for n in REWARD_NAMES if getattr(self.e.grpo.rewards, n) is not None
            )
            label = "reinforcement learning (GRPO)"
        inputs = {
            "prepare": self.prepare(self.e.data.train),
            **{role: key for role, key in given.items() if key},
        }
        return self._add(kind, spec, inputs, families, label, models=self._weights(self.e.student))

    def evaluate(self, checkpoint: str, dataset: str, model: str | None) -> str:
        assert self.e.evaluate is not None
        asked = self.e.evaluate
        spec = self._sections("format", "media")
        spec |= {"checkpoint": checkpoint, "dataset": dataset, "student": self.made.of(self.e.student)}
        # Where the cell lies in the matrix is said by `checkpoint` and `dataset`; the rest is how it is computed.
        how = {k: v for k, v in self.made.of(asked).items() if k not in CELL}
        spec["evaluate"] = {"decoding": {}, "score_space": asked.score_space} | how
        random = model is None and model_name(self.e.student) is None
        if random or asked.decoding.temperature > 0:
            spec["seed"] = self.e.seed  # the untouched student's random weights, or the sampling
        if asked.score_space != "prompt_range":
            spec["train_range"] = [
                self.e.data.known[self.e.data.train].low,
                self.e.data.known[self.e.data.train].high,
            ]
        inputs = {"prepare": self.prepare(dataset), **({"model": model} if model else {})}
        return self._add(
            "evaluate",
            spec,
            inputs,
            {"models": (self.e.student.kind,)},
            f"evaluate {checkpoint} on {dataset}",
            models=self._weights(self.e.student),
        )

    def imported(self, asked: Import) -> str:
        """Of other models nothing runs here but the comparison with the clips."""
        return self._add(
            "evaluate",
            {"checkpoint": asked.name, "dataset": asked.dataset, "import": asked.predictions},
            {"prepare": self.prepare(asked.dataset)},
            {},
            f"import {asked.name} on {asked.dataset}",
            data={"name": asked.predictions, "digest": self.pins.datasets[asked.predictions]},
            place=self.places["baseline"],
        )

    def baseline(self) -> str:
        assert self.e.evaluate is not None
        inputs = {"train": self.prepare(self.e.data.train)}
        inputs |= {f"test/{name}": self.prepare(name) for name in self.e.evaluate.datasets}
        return self._add(
            "baseline", {"baseline": "ridge", **self._sections("media")}, inputs, {}, "ridge baselines"
        )

    def _weights(self, model: Student | Teacher) -> dict[str, str]:
        """Name and digest of the staged weights that a stage reads; a trained stage has the processor from there."""
        name = model_name(model)
        return {name: self.pins.models[name]} if name and name in self.pins.models else {}

    def _sections(self, *names: str) -> dict[str, Any]:
        """The identity of sections of the spec, by name."""
        values = {name: getattr(self.e, name) for name in names}
        return {name: self.made.of(v) if isinstance(v, SpecModel) else v for name, v in values.items()}

    def _add(
        self,
        kind: str,
        spec: dict[str, Any],
        inputs: dict[str, str],
        families: Families,
        label: str,
        data: dict[str, str] | None = None,
        models: dict[str, str] | None = None,
        place: Placement | None = None,
    ) -> str:
        place = place or self.places[kind]
        reads = (kind, id(place), *((name, self.made.mark(value)) for name, value in spec.items()))
        made = (*reads, *inputs.items(), *families.items(), self.made.mark(data), self.made.mark(models))
        if made not in self.made.stages:
            preimage: dict[str, Any] = {"stage": kind, "spec": spec, "code": self.made.code(kind, families)}
            preimage |= {"inputs": dict(sorted(inputs.items()))} if inputs else {}
            preimage |= {"data": data} if data else {}
            preimage |= {"models": models} if models else {}
            key = content_key(preimage)
            self.made.stages[made] = Stage(key, kind, inputs, preimage, label, place)
        stage = self.made.stages[made]
        self.done.setdefault(stage.key, stage)
        return stage.key
