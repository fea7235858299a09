"""Resolve names of data sets and models to digests: by their pins, else by what the store holds.

A plan never goes to the network for this. On a cluster a name without a pin is an error: the plan is made elsewhere
than where the data is, and two people's plans must mean the same files. On this machine the one staged copy is taken,
with a warning. With `--offline` nothing is looked up, so a name without a pin is a warning wherever the plan is for,
and its digest is `UNPINNED` in the keys: the plan of a pull request still shows counts, sharing and cost, and such
keys are nobody's, so it cannot be applied; pinning gives it others.

A model is named repository@commit. That says what the hub would give; its pin says which bytes were staged, and both are
in the keys, as for a data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.files import DISK
from c2f_spec.language.lock_file import UNPINNED
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.environment import has_pools
from c2f_spec.spec.experiment import reads_weights
from c2f_spec.spec.sections import QwenOmni, TransformersTeacher, VllmTeacher

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from c2f_spec.files import Files
    from c2f_spec.language.lock_file import Lock
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.student import Student
    from c2f_spec.spec.teacher import Teacher
    from c2f_spec.store.protocol import ObjectStore


Staged = dict[str, list[str]]
"""Digests of the copies in the store, by name."""


@dataclass(frozen=True, slots=True)
class Pins:
    """Digests of data sets and weights by name."""

    datasets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    """By `repository@revision`."""
    accepted: Mapping[str, str] = field(default_factory=dict)
    """Digest of a file of code to the digest of its older version that computes the same, which keys keep."""
    adopted: Mapping[str, str] = field(default_factory=dict)
    """Key of a stage to the digest of the files that stand for its output."""


class Need(NamedTuple):
    """A name for which a plan needs a digest."""

    section: str
    """Section of the lock: `datasets` or `models`."""
    name: str
    loc: tuple[str | int, ...]
    """The place in the spec that names it."""

    @property
    def description(self) -> str:
        return f"{'data set' if self.section == 'datasets' else 'model'} `{self.name}`"

    @property
    def kind(self) -> str:
        return "data set" if self.section == "datasets" else "weights"

    @property
    def pin_hint(self) -> str:
        """Return how a copy is staged and pinned."""
        return f"stage and pin it: {self._command}"

    @property
    def stage_hint(self) -> str:
        """Return how a copy is staged; a missing pin is written too."""
        return f"run {self._command}"

    @property
    def _command(self) -> str:
        if self.section == "models":
            from c2f_spec.store.records import model_add_command

            return model_add_command(self.name)
        if self.loc[:2] == ("evaluate", "import"):
            return f"c2f-spec data add {self.name} --predictions FILE"
        known = DATASETS.get(self.name)
        source = "--fetch" if known and known.rendered else "--from DIR"
        terms = " --accept-terms" if known and not known.rendered else ""
        return f"c2f-spec data add {self.name} {source}{terms}"


def needs(experiment: Experiment) -> Iterator[Need]:
    """Yield every data set that is prepared and every model whose weights are read, in the order of the pipeline."""
    e = experiment
    for dataset in needed_datasets(e):
        yield Need("datasets", dataset, place_of(e, dataset))
    for i, each in enumerate(e.evaluate.imported if e.evaluate else ()):
        yield Need("datasets", each.predictions, ("evaluate", "import", i, "predictions"))
    if e.teacher and (name := model_name(e.teacher)):
        yield Need("models", name, ("teacher", "revision"))
    if (e.sft or e.grpo or e.evaluate) and (name := model_name(e.student)):
        yield Need("models", name, ("student", "revision"))


def needed_datasets(experiment: Experiment) -> list[str]:
    """Return every data set that a plan of `experiment` prepares."""
    evaluated = experiment.evaluate.datasets if experiment.evaluate else ()
    return list(dict.fromkeys((experiment.data.train, *evaluated)))


def place_of(experiment: Experiment, dataset: str) -> tuple[str | int, ...]:
    """Return the field in which a spec names a data set."""
    if dataset == experiment.data.train or experiment.evaluate is None:
        return ("data", "train")
    return ("evaluate", "datasets", experiment.evaluate.datasets.index(dataset))


def model_name(model: Student | Teacher) -> str | None:
    """Return `repository@revision` of staged weights; `None` for a model without any."""
    if isinstance(model, (QwenOmni, TransformersTeacher, VllmTeacher)):
        return f"{model.model}@{model.revision}"
    return None


def lock_path(spec: Path, root: Path, files: Files = DISK) -> Path:
    """Return `c2f.lock` beside a spec, or the nearest above it in its repository: variants are written to folders below."""
    folder, *above = spec.parents
    inside = [folder, *(p for p in above if files.real(p).is_relative_to(root))]
    return next((p for p in inside if files.is_file(p / "c2f.lock")), folder) / "c2f.lock"


def pinned(section: str, lock: Lock) -> Mapping[str, str]:
    """Return the pins of `datasets` or of `models`."""
    return lock.datasets if section == "datasets" else lock.models


def images_of(environment: Environment) -> dict[str, str]:
    """Return name and digest of every image of a cluster."""
    if not has_pools(environment):
        return {}
    used = (environment.image, environment.driver_image, environment.vllm_image, environment.engine_image)
    return dict(image.rsplit("@", 1) for image in used if image)


def other_images(lock: Lock, environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield name, pin and digest in use of every image that differs from its pin."""
    for name, digest in images_of(environment).items():
        if name in lock.images and lock.images[name] != digest:
            yield name, lock.images[name], digest


def other_image_problems(lock: Lock, environment: Environment) -> list[Problem]:
    """Return errors for images that differ between lock and environment: only one was reviewed with the spec."""
    return [
        Problem(
            "C2F419",
            ("environment",),
            f"image `{name}` is pinned to {pin[:17]} in c2f.lock, and the environment has {used[:17]}",
            "c2f-spec lock pins what the environment has",
        )
        for name, pin, used in other_images(lock, environment)
    ]


def resolve(
    needed: Sequence[Need], lock: Lock, staged: Staged | None, environment: Environment
) -> tuple[Pins, list[Problem]]:
    """Return the digests that can be resolved, and problems for the rest. `staged` is `None` offline."""
    datasets: dict[str, str] = {}
    models: dict[str, str] = {}
    problems = []
    for need in needed:
        digest = pinned(need.section, lock).get(need.name)
        if digest is None:
            digest, problem = _unpinned(need, staged, environment)
            problems.append(problem)
        (datasets if need.section == "datasets" else models)[need.name] = digest
    return Pins(datasets, models, adopted={a.stage: a.files for a in lock.adopted}), problems


def _unpinned(need: Need, staged: Staged | None, environment: Environment) -> tuple[str, Problem]:
    """Return the digest that a name without a pin has all the same, `UNPINNED` if none, and its problem."""
    loc = need.loc
    if staged is None:
        message = f"{need.description} is not pinned in c2f.lock: the keys of what needs it will change"
        return UNPINNED, Problem("C2F417", loc, message, f"to apply, {need.pin_hint}", "warning")
    if environment.requires_pins:
        message = f"{need.description} is not pinned in c2f.lock, as a cluster needs"
        hint = f"{need.pin_hint}; or add --offline to see the plan without it"
        return UNPINNED, Problem("C2F411", loc, message, hint)
    copies = staged.get(need.name, [])
    if len(copies) == 1:
        message = (
            f"{need.description} is not pinned in c2f.lock; the one staged copy, {copies[0][:10]}, is taken"
        )
        return copies[0], Problem("C2F418", loc, message, "c2f-spec lock pins it", "warning")
    if not copies:
        message = f"{need.kind} not staged: `{need.name}` is not in the store"
        return UNPINNED, Problem("C2F412", loc, message, need.stage_hint)
    message = f"the store has {len(copies)} copies of {need.description}: {', '.join(c[:10] for c in copies)}"
    hint = f"pin one of them in c2f.lock, under `{need.section}`: `{need.name}: <digest>`"
    return UNPINNED, Problem("C2F413", loc, message, hint)


def used_pins(stages: Sequence[Stage]) -> dict[str, dict[str, str]]:
    """Return the pins in the stages of a plan: another pin in the lock makes no plan stale."""
    data = {s.preimage["data"]["name"]: s.preimage["data"]["digest"] for s in stages if "data" in s.preimage}
    models = {name: pin for s in stages for name, pin in s.preimage.get("models", {}).items()}
    return {"datasets": dict(sorted(data.items())), "models": dict(sorted(models.items()))}


def unpinned_names(plan: Plan) -> list[str]:
    """Return the names without a digest in a plan made with `--offline`."""
    return [
        n
        for section in ("datasets", "models")
        for n, d in plan.lock.get(section, {}).items()
        if d == UNPINNED
    ]


# What copies of data sets and models the store holds.
#
# Names without a pin are looked up before a plan is made, because only the store can say what they are; pinned ones
# after, for the stages that are to run: what is not there must be known before a GPU is asked for. Nothing is asked
# `--offline`.


Copy = tuple[str, str]
"""Section of the lock and name."""


def staged_copies(objects: ObjectStore, needed: Iterable[Need]) -> Staged:
    """Return the digests of staged copies, by name."""
    from c2f_spec.store import records  # not needed by `validate`, which starts fast

    present = {"datasets": records.datasets_present, "models": records.models_present}
    return {need.name: present[need.section](objects, need.name) for need in needed}


def missing_copies(objects: ObjectStore, plan: Plan) -> frozenset[Copy]:
    """Return the pinned copies that a stage which is to run would read and the store does not have."""
    copies = {copy for stage in plan.stages if stage.action == "run" for copy in _copies_read(stage)}
    return frozenset(
        (section, name) for section, name, digest in copies if not _is_staged(objects, section, name, digest)
    )


def _copies_read(stage: Stage) -> Iterator[tuple[str, str, str]]:
    """Yield section, name and digest of the copies that a stage reads."""
    if data := stage.preimage.get("data"):
        yield "datasets", data["name"], data["digest"]
    # A teacher that vLLM serves beside the stage comes from the store, too.
    if stage.kind == "distil" or reads_weights(stage.preimage, stage.inputs):
        for name, digest in stage.preimage.get("models", {}).items():
            yield "models", name, digest


def _is_staged(objects: ObjectStore, section: str, name: str, digest: str) -> bool:
    if digest == UNPINNED:
        return True  # told elsewhere
    from c2f_spec.store import records

    listing = records.dataset_listing if section == "datasets" else records.model_listing
    return objects.exists(listing(name, digest))


def unstaged_problems(experiment: Experiment, lacks: Collection[Copy]) -> Iterator[Problem]:
    """Yield errors at the fields that name missing copies."""
    for need in needs(experiment):
        if (need.section, need.name) in lacks:
            message = f"{need.kind} not staged: `{need.name}` is pinned, and not in the store"
            yield Problem("C2F420", need.loc, message, need.stage_hint)
