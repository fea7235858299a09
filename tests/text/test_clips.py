"""Manifests and polarity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.answers import to_family
from c2f_spec.metrics.families import polarity
from c2f_spec.spec.datasets import Dataset
from c2f_spec.spec.formats import POLARITIES
from runtime.text.clips import (
    Clip,
    polarity_of,
    read_jsonl,
    read_manifest,
    write_jsonl,
    write_manifest,
)

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("score", "mosi", "sims"),
    [
        (-0.2, "negative", "negative"),
        (-0.1, "negative", "negative"),
        (-0.05, "negative", "neutral"),
        (0.0, "neutral", "neutral"),
        (0.1, "positive", "neutral"),
        (0.11, "positive", "positive"),
    ],
)
def test_polarity_by_family(score, mosi, sims):
    assert (polarity_of(score, "mosi"), polarity_of(score, "sims")) == (mosi, sims)


@pytest.mark.parametrize("high", [1.0, 2.0, 3.0, 5.0, 100.0])
@pytest.mark.parametrize("family", ["mosi", "sims"])
def test_polarity_is_that_of_the_metrics_on_any_scale(family, high):
    """Of a data set of one's own with the classes of SIMS, too: its labels may go to 3."""
    labels = np.array([i / 100 * high for i in range(-100, 101)])
    scale = Dataset("mine", "user_folder", "en", -high, high, family)
    metrics = polarity(to_family(labels, scale), family)
    assert [POLARITIES.index(polarity_of(v, family, high)) - 1 for v in labels] == metrics.tolist()


@given(st.lists(st.dictionaries(TEXT, TEXT | st.floats(allow_nan=False) | st.none())))
@settings(deadline=None)
def test_rows_are_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "x.jsonl"
    assert write_jsonl(path, rows) == len(rows)
    assert list(read_jsonl(path)) == rows


def test_a_manifest_is_read_back_by_split(tmp_path):
    clips = [
        Clip(f"c-{n}", "d", s, "a\u2028b\r\n", 0.5, "positive", "m", 2.0, "0")
        for n, s in enumerate(("test", "train"))
    ]
    write_manifest(tmp_path, clips)
    assert read_manifest(tmp_path) == clips
    assert read_manifest(tmp_path, "train") == clips[1:]


@pytest.mark.parametrize("line", ["{", '{"id": "x"}', "5", ""])
def test_a_damaged_manifest_is_named(tmp_path, line):
    (tmp_path / "manifest.jsonl").write_text(line + "\n")
    with pytest.raises(InvalidData, match="manifest"):
        read_manifest(tmp_path)
