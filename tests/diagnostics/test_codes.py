"""Every code is explained, and used for one kind of problem; the examples of the explanations do what they say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from c2f_spec.diagnostics.codes import code_entries
from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.errors import InvalidSpec
from c2f_spec.language.document import load_document
from c2f_spec.language.lock_file import read_lock
from c2f_spec.language.parse import parse, parse_environment
from c2f_spec.plan.capacity import capacity_problems
from c2f_spec.plan.model_servers import engine_problems, list_problems, server_problems
from c2f_spec.plan.placement import placement_problems
from c2f_spec.spec.cluster import KubernetesEnvironment, Pool

PACKAGE = Path(__file__).parents[2] / "c2f_spec"
ENTRIES = code_entries()
CODE = re.compile(r"C2F\d{3}")
BASE = {
    "c2f": "c2f: v1\n",
    "name": "name: x\n",
    "data": "data: {train: icwsm2014-movie}\n",
    "student": "student: tiny\n",
    "evaluate": "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n",
}

NODE = {"cpu": "64", "memory": "64Gi", "ephemeral_storage": "2Ti"}
CLUSTER = KubernetesEnvironment(
    c2f="v1",
    kind="kubernetes",
    namespace="c2f",
    store="s3://c2f/store",
    image=f"registry.example.org/runtime@sha256:{'0' * 64}",
    demo=True,
    pools={"gpu": Pool(gpus=8, gpu="A800-SXM4-80GB", gpu_memory="80Gi", **NODE), "cpu": Pool(gpus=0, **NODE)},
    cpu_pool="cpu",
)
"""What examples of problems with the place are planned for."""

ENVIRONMENT_CODES = ("C2F451", "C2F452", "C2F453", "C2F454", "C2F457")
ENVIRONMENT = f"""\
c2f: v1
kind: kubernetes
namespace: c2f
store: s3://c2f/store
image: {CLUSTER.image}
pools: {{cpu: {{gpus: 0, cpu: 8, memory: 64Gi, ephemeral_storage: 100Gi}}}}
cpu_pool: cpu
"""
"""What examples of problems with an environment are appended to."""


def uses() -> dict[str, set[str]]:
    """Code → the functions that use it."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        inner = {
            id(node): f"{path.stem}.{owner.name}"
            for owner in ast.walk(tree)
            if isinstance(owner, ast.FunctionDef)
            for node in ast.walk(owner)
        }
        docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
            if isinstance(text, str) and CODE.fullmatch(text):
                found.setdefault(text, set()).add(inner.get(id(node), path.stem))
    return found


def test_every_code_is_explained_and_none_that_is_not_used():
    assert set(uses()) == set(ENTRIES)


def test_a_code_is_used_for_one_kind_of_problem():
    assert {code: where for code, where in uses().items() if len(where) > 1} == {}


def codes_of(code: str, text: str, tmp_path: Path) -> set[str]:
    """The codes of the problems that an example has."""
    try:
        if code.startswith("C2F40"):
            (tmp_path / "c2f.lock").write_text(text)
            read_lock(tmp_path / "c2f.lock")
            return set()
        if code in ENVIRONMENT_CODES:
            parse_environment(load_document((ENVIRONMENT + text).encode(), "e.yaml"))
            return set()
        document = load_document(text.encode(), "s.yaml")
        if code.startswith("C2F1"):
            return set()
        base = "".join(line for section, line in BASE.items() if section not in document.data)
        experiment, warnings = parse(load_document((base + text).encode(), "s.yaml"))
        if code in ("C2F458", "C2F459"):
            return {p.code for p in server_problems(experiment, CLUSTER, "cluster")}
        if code == "C2F460":
            return {p.code for p in engine_problems(experiment, CLUSTER, "cluster")}
        if code == "C2F462":
            return {p.code for p in list_problems(experiment, CLUSTER, "cluster")}
        if not code.startswith("C2F43") and code != "C2F442":
            return {d.code for d in warnings}
        placed = list(placement_problems(experiment, CLUSTER, "cluster"))
        return {p.code for p in placed or capacity_problems(experiment, CLUSTER, "cluster")}
    except SpecErrors as error:
        return {d.code for d in error.diagnostics}
    except InvalidSpec as error:
        return {error.code}


@pytest.mark.parametrize("code", sorted(c for c in ENTRIES if ENTRIES[c].wrong and c[:4] != "C2F5"))
def test_the_wrong_example_is_wrong_and_the_right_one_right(code, tmp_path):
    entry = ENTRIES[code]
    others = {"C2F111"} if code == "C2F116" else set()
    assert codes_of(code, entry.wrong, tmp_path) == {code} | others
    assert codes_of(code, entry.right, tmp_path) == set()


def test_codes_are_sorted():
    assert list(ENTRIES) == sorted(ENTRIES)


def test_an_explanation_teaches():
    for code, entry in ENTRIES.items():
        assert CODE.fullmatch(code)
        assert len(entry.text) >= 60, f"{code}: say why it matters"
        assert not entry.title.endswith(".")
        assert bool(entry.wrong) == bool(entry.right), code


def test_schema_problems_have_examples():
    assert [c for c in ENTRIES if c[:4] in ("C2F2", "C2F3") and not ENTRIES[c].wrong] == ["C2F204", "C2F212"]
