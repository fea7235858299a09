"""`Experiment` → stages with their content keys. Pure.

What is in a stage's key is decided here and nowhere else: the sections of the spec that it reads, the code that it can
reach, the keys of its inputs, the digests of data and weights. Instances that several variants need are one stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import content_key
from c2f_spec.plan.code import code_of
from c2f_spec.plan.model import Plan, Stage, Variant
from c2f_spec.spec.base import SpecModel, identity
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.filters import NAMES as FILTER_NAMES
from c2f_spec.spec.grpo import REWARD_NAMES, Grpo
from c2f_spec.spec.handoff import Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment

Families = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Pins:
    """What data sets and weights were resolved to, by name."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Given:
    """An experiment and the text that it was written as."""

    experiment: Experiment
    text: str


def build(sources: list[Given], pins: Pins, environment: Environment, environment_name: str) -> Plan:
    """The plan of one or several experiments; stages that they share appear once."""
    stages: dict[str, Stage] = {}
    variants = []
    for source in sources:
        own = _Pipeline(source.experiment, pins, _placement(environment)).stages()
        for stage in own:
            known = stages.get(stage.key, stage)
            stages[stage.key] = replace(known, variants=(*known.variants, source.experiment.name))
        variants.append(
            Variant(source.experiment.name, source.experiment, source.text, tuple(s.key for s in own))
        )
    name = variants[0].name if len(variants) == 1 else f"{variants[0].name} and {len(variants) - 1} more"
    return Plan(name, environment, environment_name, tuple(variants), tuple(stages.values()))


def _placement(environment: Environment) -> Placement:
    return Placement(threads=environment.threads) if environment.kind == "local" else Placement()


class _Pipeline:
    """The stages of one experiment. Each method adds one kind and returns its key, or `None` if there is none."""

    def __init__(self, experiment: Experiment, pins: Pins, placement: Placement) -> None:
        self.e, self.pins, self.placement = experiment, pins, placement
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
            if e.evaluate.baseline != "none":
                self.baseline()
        return list(self.done.values())

    def prepare(self, dataset: str) -> str:
        facts, data = DATASETS[dataset], self.e.data
        limit = {split: n for split, n in identity(data.limit).items() if split in facts.splits}
        spec: dict[str, Any] = {"dataset": dataset, "limit": limit}
        if facts.rendered:
            spec["render_seed"] = data.render_seed or 0
        pinned = {"name": dataset, "digest": self.pins.datasets[dataset]}
        return self._add(
            "prepare", spec, {}, {"datasets": (facts.reader,)}, f"prepare {dataset}", data=pinned
        )

    def distil(self) -> str:
        assert self.e.teacher is not None
        spec = self._sections("teacher", "format", "media")
        families: Families = {"teachers": (self.e.teacher.kind,)}
        return self._add(
            "distil", spec, {"prepare": self.prepare(self.e.data.train)}, families, "distil chains of thought"
        )

    def filter(self, distil: str) -> str:
        assert self.e.filters is not None
        named = ("format", *(n for n in FILTER_NAMES if getattr(self.e.filters, n) is not None))
        inputs = {"prepare": self.prepare(self.e.data.train), "distil": distil}
        return self._add(
            "filter", self._sections("filters", "format"), inputs, {"filters": named}, "filter the chains"
        )

    def train(self, kind: str, given: dict[str, str | None]) -> str:
        """`sft` or `grpo`."""
        spec = self._sections("student", kind, "format", "media", "seed")
        families: Families = {"models": (self.e.student.kind,)}
        label = "supervised fine-tuning"
        if kind == "grpo":
            assert self.e.grpo is not None
            spec["grpo"] = _resolved(self.e.grpo, spec["grpo"])
            families["rewards"] = tuple(
                n for n in REWARD_NAMES if getattr(self.e.grpo.rewards, n) is not None
            )
            label = "reinforcement learning (GRPO)"
        inputs = {
            "prepare": self.prepare(self.e.data.train),
            **{role: key for role, key in given.items() if key},
        }
        return self._add(kind, spec, inputs, families, label)

    def evaluate(self, checkpoint: str, dataset: str, model: str | None) -> str:
        assert self.e.evaluate is not None
        asked = self.e.evaluate
        spec = self._sections("format", "media")
        spec |= {"checkpoint": checkpoint, "dataset": dataset, "student": identity(self.e.student)}
        # Where the cell lies in the matrix is said by `checkpoint` and `dataset`; the rest is how it is computed.
        how = {k: v for k, v in identity(asked).items() if k not in ("checkpoints", "datasets", "baseline")}
        spec["evaluate"] = {"decoding": {}, "score_space": asked.score_space} | how
        if model is None or asked.decoding.temperature > 0:
            spec["seed"] = self.e.seed  # the untouched student's random weights, or the sampling
        if asked.score_space != "prompt_range":
            spec["train_range"] = [DATASETS[self.e.data.train].low, DATASETS[self.e.data.train].high]
        inputs = {"prepare": self.prepare(dataset), **({"model": model} if model else {})}
        return self._add(
            "evaluate",
            spec,
            inputs,
            {"models": (self.e.student.kind,)},
            f"evaluate {checkpoint} on {dataset}",
        )

    def baseline(self) -> str:
        assert self.e.evaluate is not None
        inputs = {"train": self.prepare(self.e.data.train)}
        inputs |= {f"test/{name}": self.prepare(name) for name in self.e.evaluate.datasets}
        return self._add(
            "baseline", {"baseline": "ridge", **self._sections("media")}, inputs, {}, "ridge baselines"
        )

    def _sections(self, *names: str) -> dict[str, Any]:
        """The identity of sections of the spec, by name."""
        values = {name: getattr(self.e, name) for name in names}
        return {name: identity(v) if isinstance(v, SpecModel) else v for name, v in values.items()}

    def _add(
        self,
        kind: str,
        spec: dict[str, Any],
        inputs: dict[str, str],
        families: Families,
        label: str,
        data: dict[str, str] | None = None,
    ) -> str:
        preimage: dict[str, Any] = {"stage": kind, "spec": spec, "code": code_of(kind, families)}
        preimage |= {"inputs": dict(sorted(inputs.items()))} if inputs else {}
        preimage |= {"data": data} if data else {}
        key = content_key(preimage)
        if key not in self.done:
            self.done[key] = Stage(key, kind, inputs, preimage, label, self.placement)
        return key


def _resolved(grpo: Grpo, spec: dict[str, Any]) -> dict[str, Any]:
    """`spec` with `auto` replaced by its number: the weights of the format and polarity rewards together."""
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
