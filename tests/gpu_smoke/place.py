"""Where the spec runs: the user's repository, or for a rehearsal a temporary one that has all it needs."""

from __future__ import annotations

import shutil
import subprocess
from argparse import Namespace
from dataclasses import dataclass, field, replace
from pathlib import Path

from c2f_spec.cli.workspace import Workspace, annotate_plan, compile_work
from tests.bench.measuring import ROOT, c2f

SPECS = {True: "specs/gpu_smoke.yaml", False: "specs/gpu_smoke_transformers.yaml"}
"""By whether there is vLLM."""
NAME = "gpu_smoke"
"""Of the environment: this machine, with its GPUs counted."""
ENVIRONMENT = """\
c2f: v1
kind: local
store: .c2f/store
tracking: sqlite:///.c2f/mlflow.db
parallel: 1 # a stage has all GPUs
demo: true
gpus: {gpus}
"""
REHEARSED = (
    "teacher={kind: lexicon}", "media={fps: 2.0, max_frames: 2, max_pixels: 3136}", "sft.steps=30",
    "grpo.max_new_tokens=16", "evaluate.decoding.max_new_tokens=16", "filters.min_keep_fraction=0",
)  # fmt: skip


@dataclass
class Place:
    root: Path
    gpus: int
    vllm: bool
    settings: list[str] = field(default_factory=list)

    @property
    def spec(self) -> str:
        return SPECS[self.vllm]

    @property
    def arguments(self) -> list[str]:
        """Arguments of a verb: the spec, the environment and the settings."""
        settings = [word for setting in self.settings for word in ("--set", setting)]
        return [self.spec, "--on", NAME, "--environments", ".c2f/smoke", *settings]

    def command(self, *argv: str) -> list[str]:
        return c2f(*argv)

    def work(self) -> Workspace:
        """The plan as the store stands."""
        call = Namespace(
            specs=[self.spec], settings=self.settings, on=NAME, environments=Path(".c2f/smoke"), offline=False
        )
        work = compile_work(call)
        return replace(work, plan=annotate_plan(work))


def this_repository(gpus: int, *, vllm: bool) -> Place:
    return _with_environment(Place(Path.cwd(), gpus, vllm))


def rehearsal(folder: Path) -> Place:
    """A tiny student in the released layout, staged by `model add` under the name that the spec has."""
    (folder / ".git").mkdir()
    (folder / "specs").mkdir()
    for spec in SPECS.values():
        shutil.copy(ROOT / spec, folder / spec)
    ratings = ROOT / "tests" / "data" / "icwsm2014"
    _run(folder, "data", "add", "icwsm2014-movie", "--from", str(ratings), "--accept-terms")
    from runtime.models.thinker import save
    from tests.support import omni  # the machinery of the tests, with torch

    save(omni.student(), folder / "released")
    student = _student()
    argv = ("model", "add", student.model, "--revision", student.revision, "--from", str(folder / "released"))
    _run(folder, *argv)
    return _with_environment(Place(folder, 0, vllm=False, settings=[*REHEARSED]))


def _student():
    from c2f_spec.plan.compile import load_variants

    return load_variants(ROOT / SPECS[True])[0].experiment.student


def _with_environment(place: Place) -> Place:
    folder = place.root / ".c2f" / "smoke"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.yaml").write_text(ENVIRONMENT.format(gpus=place.gpus))
    return place


def _run(folder: Path, *argv: str) -> None:
    subprocess.run(c2f(*argv), cwd=folder, check=True)
