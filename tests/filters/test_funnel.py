"""Clips in = kept + dropped by filter + failed by reason; the first chain of a clip that passes is kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.errors import InvalidData
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.sections import C2f
from runtime.filters.filter_chain import ChainResult, count_accounted, funnels
from runtime.filters.outcome import Failed
from runtime.stages import filter as stage
from runtime.text.chains import canonical_answer, parse_answer
from runtime.text.clips import Clip, polarity_of, read_jsonl, write_jsonl
from tests.support.stage_runs import ALL_OFF, run_stage, write_prepared

LABELS = (1.0, -1.0, 0.0)


def clip(number, label):
    return Clip(f"c{number}", "d", "train", "", label, polarity_of(label, "mosi"), "", 1.0, "")


def answer_of(label, score=None):
    return canonical_answer(C2f(), polarity_of(label, "mosi"), "because", label if score is None else score)


def filtered(tmp_path, labels, chains, failed=(), **filters):
    """Run the stage on chains {"id", "sample", "text"}; returns its summary and its outputs."""
    write_prepared(tmp_path / "prepare", [clip(n, label) for n, label in enumerate(labels)])
    (tmp_path / "distil").mkdir()
    write_jsonl(tmp_path / "distil" / "chains.jsonl", chains)
    write_jsonl(tmp_path / "distil" / "failed.jsonl", failed)
    filters = {**ALL_OFF, "polarity_match": {}, "min_keep_fraction": 0.0, **filters}
    inputs = {name: tmp_path / name for name in ("prepare", "distil")}
    found, _ = run_stage(stage, tmp_path / "out", inputs, filters=filters)
    return found, *(list(read_jsonl(tmp_path / "out" / f"{name}.jsonl")) for name in ("chains", "dropped"))


def test_every_clip_is_kept_dropped_or_failed(tmp_path):
    chains = [
        {"id": "c0", "sample": 0, "text": answer_of(1.0, 0.8)},
        {"id": "c1", "sample": 0, "text": answer_of(1.0)},
        {"id": "c3", "sample": 0, "text": "no"},
    ]
    failed = [{"id": "c2", "reason": "timeout", "message": "…"}]
    found, kept, dropped = filtered(tmp_path, [1.0, -1.0, 0.0, 1.0], chains, failed)
    assert found == json.loads((tmp_path / "out" / "funnel.json").read_text())
    whole = {"in": 4, "kept": 1, "dropped": {"format": 1, "polarity_match": 1}, "failed": {"timeout": 1}}
    assert {name: found[name] for name in whole} == whole
    assert found["by_split"] == {"train": whole}
    assert found["by_polarity"]["positive"] == {"in": 2, "kept": 1, "dropped": {"format": 1}}
    assert found["by_polarity"]["neutral"] == {"in": 1, "kept": 0, "dropped": {}, "failed": {"timeout": 1}}
    assert kept == [{"id": "c0", "text": answer_of(1.0)}]
    reason = {"reason": "says positive, the label is negative", "value": "positive"}
    assert dropped[0] == {"id": "c1", "filter": "polarity_match", **reason, "text": answer_of(1.0)}


def test_the_first_chain_that_passes_is_kept_and_a_clip_counts_once(tmp_path):
    texts = {
        "c0": (answer_of(-1.0), answer_of(1.0), answer_of(1.0, 0.2)),
        "c1": (answer_of(1.0), "no", answer_of(0.0)),
    }
    chains = [
        {"id": name, "sample": n, "text": text} for name, each in texts.items() for n, text in enumerate(each)
    ]
    found, kept, dropped = filtered(tmp_path, [1.0, -1.0], chains)
    assert (found["in"], found["kept"], found["dropped"]) == (2, 1, {"polarity_match": 1})
    assert kept == [{"id": "c0", "text": answer_of(1.0)}]
    assert [(row["id"], row["text"]) for row in dropped] == [("c1", answer_of(1.0))]


@pytest.mark.parametrize(
    ("chains", "failed", "message"),
    [
        ((0,), (), "1 clips have no chain and did not fail, such as `c1`"),
        ((0, 1), (1,), "1 clips have chains and failed, such as `c1`"),
        ((0, 1), (7,), "1 clips failed and are no training clips, such as `c7`"),
    ],
)
def test_a_clip_that_distil_lost_or_counts_twice_is_named(tmp_path, chains, failed, message):
    rows = [{"id": f"c{n}", "sample": 0, "text": answer_of(1.0)} for n in chains]
    with pytest.raises(InvalidData, match=message):
        filtered(tmp_path, [1.0, 1.0], rows, [{"id": f"c{n}", "reason": "refused"} for n in failed])


def test_a_polarity_that_nearly_vanishes_is_refused_unless_the_set_has_no_more_of_it(tmp_path, capfd):
    labels = [1.0] * 30 + [-1.0] * 20 + [0.0] * 3
    wrong = {*range(30, 41), 50}  # three of the negative ones, one of the neutral ones
    rows = [
        {"id": f"c{n}", "sample": 0, "text": answer_of(1.0 if n in wrong else label)}
        for n, label in enumerate(labels)
    ]
    with pytest.raises(InvalidData, match=r"only 9 of 20 negative clips .* `filters.min_keep_polarity` = 10"):
        filtered(tmp_path, labels, rows)
    (tmp_path / "again").mkdir()
    found, *_ = filtered(tmp_path / "again", labels, rows, min_keep_polarity=9)
    assert found["kept"] == 41
    assert "warning: only 2 of 3 neutral clips were kept, and the set has few more" in capfd.readouterr().out


FATES = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from(("kept", "format", "length", "timeout"))), max_size=30
)


@given(FATES)
def test_the_parts_make_up_the_whole(fates):
    verdicts, failures = [], []
    for number, (label, fate) in enumerate(fates):
        if fate == "timeout":
            failures.append((clip(number, label), fate))
        else:
            failed = None if fate == "kept" else (fate, Failed("…"))
            verdicts.append(ChainResult(clip(number, label), parse_answer(C2f(), ""), "", failed=failed))
    found = funnels(verdicts, failures)
    assert count_accounted(found) == found["in"] == len(fates)
    for polarity in POLARITIES:
        part = found["by_polarity"].get(polarity, {"in": 0, "kept": 0})
        mine = [fate for label, fate in fates if polarity_of(label, "mosi") == polarity]
        assert (part["in"], part["kept"]) == (len(mine), mine.count("kept"))
