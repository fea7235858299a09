"""Environments: those that are shipped, and what is said of wrong ones."""

import re
from pathlib import Path

import pytest

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.language.document import load_document, read_document
from c2f_spec.language.field_help import every_field
from c2f_spec.language.parse import parse_environment
from c2f_spec.spec.cluster import KubernetesEnvironment
from c2f_spec.spec.environment import LocalEnvironment

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "k8s" / "environments").glob("*.yaml"))
DIGEST = "sha256:" + "0" * 64
MINIMAL = f"""\
c2f: v1
kind: kubernetes
namespace: c2f
store: s3://c2f/store
image: r.example.org/c2f@{DIGEST}
pools: {{cpu: {{gpus: 0, cpu: 1, memory: 1Gi, ephemeral_storage: 1Gi}}}}
cpu_pool: cpu
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_environments_are_valid(path):
    assert parse_environment(read_document(path, path.name)).kind == "kubernetes"


def test_the_packaged_kind_is_the_one_of_the_repository():
    packaged = ROOT / "c2f_spec" / "environments" / "kind.yaml"
    assert packaged.read_bytes() == (ROOT / "k8s" / "environments" / "kind.yaml").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("namespace: c2f", "namespace: C2F", "a Kubernetes name is lower-case"),
        (f"@{DIGEST}", ":latest", "an image is named by its digest"),
        ("s3://c2f/store", "s3://me:word@c2f/store", "without user or password"),
        ("memory: 1Gi", "memory: 1 GB", "an amount is a number with or without a unit"),
        ("kind: kubernetes", "kind: kubernets", "invalid environment kind `kubernets`"),
        ("kind: kubernetes\n", "", "missing field `kind`"),
        ("cpu_pool: cpu", "cpu_pol: cpu", "did you mean `cpu_pool`"),
        ("cpu_pool: cpu", "cpu_pool: cpu\nkubernetes: 1.27", "invalid value `1.27` of `kubernetes`"),
    ],
)
def test_a_wrong_environment_is_told_at_its_line(old, new, says):
    assert old in MINIMAL
    with pytest.raises(SpecErrors) as told:
        parse_environment(load_document(MINIMAL.replace(old, new).encode(), "e.yaml"))
    assert re.search(says, str(told.value)), str(told.value)
    assert "e.yaml:" in str(told.value)


@pytest.mark.parametrize("model", [KubernetesEnvironment, LocalEnvironment])
def test_every_field_says_what_it_is(model):
    for found in every_field(model):
        if found.path[-1] != "kind":
            assert found.info.description, found.path
            assert found.info.description.endswith((".", "`")), found.path


def test_the_example_has_every_field():
    """In use or in a comment; what plans estimate with is the business of `coefficients` itself."""
    text = (ROOT / "k8s" / "environments" / "a800.yaml").read_text()
    fields = [f.path for f in every_field(KubernetesEnvironment) if "coefficients" not in f.path[:-1]]
    missing = {".".join(path) for path in fields if path[-1] not in text}
    assert missing <= {"pools.tolerations.value"}
