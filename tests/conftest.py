"""Golden files, and a repository with staged ratings to run specs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from c2f_spec.plan.compile import load_variants
from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset

settings.register_profile("c2f", deadline=None)  # machines are shared; speed is measured elsewhere
settings.load_profile("c2f")

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
DOMAINS = {
    "movie": "movieReviewSnippets",
    "amazon": "amazonReviewSnippets",
    "nyt": "nytEditorialSnippets",
    "tweets": "tweets",
}


def load_spec(path, settings=()):
    """The first variant of a spec: the only one, if there is no sweep."""
    return load_variants(path, settings)[0]


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite golden files; the diff is the review"
    )


@pytest.fixture
def golden(request):
    """`golden(name, text)`: compare with `tests/golden/<name>`."""

    def check(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.is_file(), f"no golden file {name}: run `make golden` and read it"
        assert text == path.read_text()

    return check


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository of specs with the excerpt of the ratings staged; the test runs inside it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs").mkdir()
    objects = open_store(str(tmp_path / ".c2f" / "store"))
    for domain, stem in DOMAINS.items():
        folder = tmp_path / "incoming"
        folder.mkdir()
        name = f"{stem}_GroundTruth.txt"
        shutil.copy(HERE / "data" / "icwsm2014" / name, folder / name)
        add_dataset(objects, f"icwsm2014-{domain}", folder, {"name": f"icwsm2014-{domain}"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def c2f(repository):
    """Run the command as its user does: `c2f("apply", "specs/x.yaml")` → completed process.

    `c2f.environment` are its environment variables.
    """

    def run(*argv: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "c2f_spec", *argv]
        done = subprocess.run(
            command,
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=run.environment,
        )
        assert check is None or done.returncode == check, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    run.environment = {**os.environ}
    return run


TINY_SPEC = """\
c2f: v1
name: tiny-stages
data: {train: icwsm2014-movie, limit: {train: 12, valid: 2, test: 2}, render_seed: 1}
student: tiny
teacher: {kind: lexicon}
filters: {polarity_match: {}, min_keep_fraction: 0}
"""
"""Three stages of a second or two: prepare, distil, filter."""


@pytest.fixture
def tiny_spec(repository):
    """The path of a spec whose stages take a second or two."""
    path = repository / "specs" / "tiny.yaml"
    path.write_text(TINY_SPEC)
    return path
