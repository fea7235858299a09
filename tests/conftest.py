"""Golden files, and a repository with staged ratings to run specs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from unittest.mock import patch

import pytest
from hypothesis import settings

from c2f_spec.cli.main import main
from c2f_spec.plan.compile import load_variants
from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset
from tests.fake_api import FakeApi

# Both this process and its children write to MLflow, whose telemetry has a thread that waits for the internet.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

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
def api():
    """A fake API server of Kubernetes."""
    with FakeApi() as fake:
        yield fake


@pytest.fixture
def objects(tmp_path):
    """An empty object store in a folder."""
    return open_store(str(tmp_path / "store"))


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


@contextmanager
def captured():
    """Yield files that receive what this process and its children write to stdout and stderr."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        saved = {1: os.dup(1), 2: os.dup(2)}
        try:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            out.reconfigure(line_buffering=True)
            with redirect_stdout(out), redirect_stderr(err):
                yield out, err
        finally:
            for number, copy in saved.items():
                os.dup2(copy, number)
                os.close(copy)


@pytest.fixture
def c2f(repository):
    """Call the command in this process: `c2f("apply", "specs/x.yaml")` returns a `CompletedProcess`.

    `c2f.process(...)` starts a process for it, and `c2f.environment` are the environment variables of both.
    """

    def run(*argv: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        argv = tuple(map(str, argv))
        with (
            captured() as (out, err),
            chdir(repository),
            patch.dict(os.environ, run.environment, clear=True),
            patch.object(sys, "argv", ["c2f-spec", *argv]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # as in a process of its own: they are of libraries
            try:
                code = main(argv)
            except SystemExit as end:
                code = end.code
            for file in (out, err):
                file.flush()
                file.seek(0)
            texts = out.read(), err.read()
        return finish(subprocess.CompletedProcess(argv, int(code), *texts), check)

    def process(*argv: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "c2f_spec", *argv]
        options = {"capture_output": True, "text": True, "timeout": 300, "env": run.environment}
        return finish(subprocess.run(command, cwd=repository, check=False, **options), check)

    def finish(done: subprocess.CompletedProcess[str], check: int | None):
        assert check in (None, done.returncode), f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    run.process, run.environment = process, {**os.environ}
    return run


TINY_SPEC = """\
c2f: v1
name: tiny-stages
data: {train: icwsm2014-movie, limit: {train: 12, valid: 2, test: 2}, render_seed: 1}
student: tiny
teacher: {kind: lexicon}
filters: {polarity_match: {}, length: null, min_keep_fraction: 0}
"""
"""Three stages of a second or two: prepare, distil, filter."""


@pytest.fixture
def tiny_spec(repository):
    """The path of a spec whose stages take a second or two."""
    path = repository / "specs" / "tiny.yaml"
    path.write_text(TINY_SPEC)
    return path
