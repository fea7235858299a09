"""The architecture, held: layers, what a verb may import, and registries that nobody forgot a line in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from c2f_spec.plan.code import FAMILIES
from c2f_spec.spec import support
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.filters import NAMES, Filters
from c2f_spec.spec.grpo import REWARD_NAMES, Rewards

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "kubernetes",
    "urllib3",
    "mlflow",
    "numpy",
    "av",
    "librosa",
    "runtime",
)


def test_the_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("verb", [["validate", "specs/demo.yaml"], ["--help"]], ids=lambda v: v[0])
def test_the_compiler_imports_nothing_heavy(verb):
    script = (
        "import sys\nfrom c2f_spec.cli.main import main\n"
        f"try:\n    main({verb!r})\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


def test_the_supervisor_stays_light():
    script = "import sys, runtime.__main__, runtime.process.supervise; print([m for m in ('torch', 'transformers', 'av') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def registry(family: str, name: str) -> set[str]:
    """Keys of a registry's dict, read without importing what it registers."""
    tree = ast.parse((ROOT / "runtime" / family / "__init__.py").read_text())
    for node in ast.walk(tree):
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return {key.value for key in node.value.keys}
    raise AssertionError(f"no {name} in runtime/{family}/__init__.py")


def test_what_the_schema_names_is_what_the_runtime_has():
    knobs = {"replace_score_with_label", "min_keep_fraction", "min_keep_polarity", "rebalance", "most"}
    assert {"format", *NAMES} | knobs == set(Filters.model_fields)
    files = {p.stem for p in (ROOT / "runtime" / "rewards").glob("*.py")} - {"__init__", "truth"}
    assert files == set(REWARD_NAMES) == set(Rewards.model_fields)


def test_what_is_said_to_run_is_what_the_runtime_has():
    assert registry("datasets", "DATASETS") == {"user_folder", *(d.reader for d in DATASETS.values())}
    assert registry("teachers", "TEACHERS") == support.TEACHERS
    assert registry("models", "MODELS") >= support.STUDENTS
    assert registry("filters", "FILTERS") | registry("filters", "SET_FILTERS") == {"format", *NAMES}


def test_every_stage_has_its_module_and_its_line():
    from runtime.process.worker import STAGES

    modules = {p.stem for p in (ROOT / "runtime" / "stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)


@pytest.mark.parametrize("family", sorted(f.rpartition(".")[2] for f in FAMILIES))
def test_a_registry_holds_nothing_but_imports_and_its_dict(family):
    """The code digest does not look into it, so it must not decide anything."""
    tree = ast.parse((ROOT / "runtime" / family / "__init__.py").read_text())
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        protocol = isinstance(node, ast.ClassDef) and "Protocol" in {ast.unparse(base) for base in node.bases}
        assert docstring or protocol or typing_only or isinstance(node, allowed), ast.unparse(node)
