"""The code that a stage runs is found from the imports of its files, for its key and for the bundle of its pod."""

from __future__ import annotations

import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from c2f_spec.errors import InvalidSpec
from c2f_spec.plan.code import DATA_SUFFIXES, SourceTree, bundle

ROOT = Path(__file__).parents[2]
MODULES = (
    "runtime/__init__.py",
    "runtime/stages/__init__.py",
    "runtime/stages/sft.py",
    "runtime/text/__init__.py",
    "runtime/text/chains.py",
    "runtime/rewards/__init__.py",
    "runtime/rewards/score.py",
    "runtime/checkpoints/__init__.py",
    "runtime/checkpoints_of_others.py",
)


def digests(root, imports):
    """Return the files in the key of an sft stage that has these imports."""
    for name in MODULES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    (root / "runtime/stages/sft.py").write_text(f"{imports}\n")
    return set(SourceTree(root=root).digests("sft", {})) - {
        "runtime/__init__.py",
        "runtime/stages/__init__.py",
        "runtime/stages/sft.py",
    }


TEXT = {"runtime/text/__init__.py", "runtime/text/chains.py"}


@pytest.mark.parametrize(
    ("imports", "expected"),
    {
        "import runtime.text.chains": TEXT,
        "import runtime.text.chains as grammar": TEXT,
        "from runtime.text import chains": TEXT,
        "from runtime.text import chains as grammar": TEXT,
        "from runtime.text.chains import x as y": TEXT,
        "from runtime.text.chains import *": TEXT,
        "from runtime.text import (\n    chains as grammar,\n)": TEXT,
        "def f():\n    from runtime.text import chains": TEXT,
        "from ..text import chains": TEXT,
        "from ..text.chains import x": TEXT,
        "from runtime import text": {"runtime/text/__init__.py"},
        "from runtime import rewards": set(),
        "import runtime.rewards.score": {"runtime/rewards/score.py"},
        "import runtime.checkpoints": set(),
        "import runtime.checkpoints_of_others": {"runtime/checkpoints_of_others.py"},
        "import runtimes, json": set(),
    }.items(),
)
def test_a_key_holds_every_module_that_a_stage_imports(tmp_path, imports, expected):
    assert digests(tmp_path, imports) == expected


@pytest.mark.parametrize("imports", ["import runtime.text.chain", "from runtime.text.chain import x"])
def test_an_import_that_does_not_exist_is_refused_by_name(tmp_path, imports):
    with pytest.raises(InvalidSpec, match=r"runtime/stages/sft.py imports `runtime.text.chain"):
        digests(tmp_path, imports)


def test_the_driver_has_all_package_data():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = {
        path.relative_to(ROOT).as_posix()
        for pattern in declared["c2f_spec"]
        for path in (ROOT / "c2f_spec").glob(pattern)
    }
    assert {path.rpartition(".")[2] for path in files} == {suffix[1:] for suffix in DATA_SUFFIXES}
    assert files <= set(zipfile.ZipFile(BytesIO(bundle("driver").data)).namelist())
