"""Shipped specs that claim the same rows of the paper are the same experiment, stage by stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from c2f_spec.keys import content_key
from c2f_spec.plan.compile import load_environment, load_variants
from c2f_spec.plan.keys import ExperimentSource, build_plan
from c2f_spec.plan.pins import Pins
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.filters import NAMES, Filters

ROOT = Path(__file__).parents[2]
PINS = Pins({name: content_key(name) for name in DATASETS})
OFF_BY_DEFAULT = {"dialogue_fidelity", "dedup", "judge"}
"""The filters that METHOD 3 leaves off."""


def keys(spec, variant):
    """Return the keys of a variant's stages by their labels."""
    item = next(i for i in load_variants(ROOT / "specs" / spec) if i.experiment.name == variant)
    source = [ExperimentSource(item.experiment, item.source)]
    return {
        s.label: s.key for s in build_plan(source, PINS, load_environment("a800", ROOT, None), "a800").stages
    }


@pytest.mark.parametrize(
    ("spec", "name", "variant"),
    [
        ("sims_hint.yaml", "sims-hint", "paper-sims"),
        ("mosi_hint.yaml", "mosi-hint", "paper-mosi"),
        ("sims_direct.yaml", "sims-direct", "paper-direct-sims"),
    ],
)
def test_a_spec_of_a_table_has_the_stages_of_paper_yaml(spec, name, variant):
    own, paper = keys(spec, name), keys("paper.yaml", variant)
    assert paper
    assert {label: own.get(label) for label in paper} == paper


def test_the_filters_of_the_method_are_on():
    assert {name for name in NAMES if getattr(Filters(), name) is None} == OFF_BY_DEFAULT


def test_every_shipped_teacher_is_filtered():
    for path in sorted((ROOT / "specs").glob("*.yaml")):
        for item in load_variants(path):
            e = item.experiment
            assert (e.teacher is None) == (e.filters is None), (path.name, e.name)
