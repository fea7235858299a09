"""Pictures, curves and numbers of the report: what of a clip is seen and heard, axes that cover, numbers for people."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import wave

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.report import numbers
from c2f_spec.report.charts import line_chart, ticks
from c2f_spec.report.report_data import Chart, Series
from c2f_spec.report.thumbnails import BINS, thumbnail

# Pictures and numbers.


def test_without_a_decoder_there_is_a_hint(tmp_path):
    """In a process that cannot import PyAV."""
    code = (
        "import importlib.util as u, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'av' else find(name, *a)\n"
        "from pathlib import Path\n"
        "from c2f_spec.report.thumbnails import thumbnail\n"
        f"print(thumbnail(Path({str(tmp_path / 'x.mp4')!r})).no_picture)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "no picture: install c2f-spec[runtime]\n"


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x20ftypisom" + bytes(40)])
def test_a_broken_clip_is_no_error(tmp_path, content):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert thumbnail(path).jpeg is None
    assert thumbnail(path).no_picture


def test_the_first_frame_is_the_clips(report):
    import av

    with av.open(
        io.BytesIO(report.sections[0].examples[0].examples[0].jpeg), format="image2pipe"
    ) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert pixels.shape == (64, 64, 3)
    assert abs(pixels[32, 32].astype(int) - (200, 120, 40)).max() < 12


def test_the_waveform_is_as_loud_as_the_sound(tmp_path):
    """A second of silence, then one at half of full scale; no picture."""
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000) + struct.pack("<h", 16384) * 16000)
    found = thumbnail(path)
    assert (found.jpeg, found.no_picture) == (None, "no picture: the clip is sound alone")
    assert len(found.wave) == BINS
    assert max(found.wave[: BINS // 2 - 2]) == 0
    assert all(abs(peak - 127) < 8 for peak in found.wave[BINS // 2 + 2 : -2])


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
@settings(max_examples=200, deadline=None)
def test_ticks_cover_the_values(low, span):
    found = ticks(low, low + span)
    assert found == sorted(set(found))
    assert 2 <= len(found) <= 8
    slack = 1e-6 * max(1.0, abs(low), span)
    assert found[0] <= low + slack
    assert found[-1] >= low + span - slack


def test_a_chart_of_one_point_is_a_mark():
    chart = line_chart(Chart("Loss", "nats", (Series("loss", ((5, 1.0),)),)))
    assert chart.count("<circle") == 1
    assert "<polyline" not in chart


def test_a_line_is_broken_where_a_step_has_no_value():
    points = ((1, 1.0), (2, 2.0), (3, None), (4, 1.0), (5, 2.0))
    assert line_chart(Chart("Loss", "nats", (Series("loss", points),))).count("<polyline") == 2


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (numbers.percent, 0.56789, "56.8"),
        (numbers.percent, None, "n/a"),
        (numbers.points, -0.0123, "-1.2"),
        (numbers.points, 0.0, "+0.0"),
        (numbers.points, -0.0001, "+0.0"),
        (numbers.signed, -0.0001, "+0.000"),
        (numbers.p_value, 0.0004, "< 0.001"),
        (numbers.p_value, 0.0412, "0.041"),
        (numbers.p_value, None, "n/a"),
        (numbers.three, -0.0, "0.000"),
        (numbers.three, float("nan"), "n/a"),
        (numbers.count, 12345, "12,345"),
        (numbers.label, -1.3, "-1.3"),
        (numbers.label, 0.0, "0"),
        (numbers.seconds, 0.234, "0.23 s"),
        (numbers.seconds, 245, "4 min 05 s"),
        (numbers.seconds, 7380, "2 h 03 min"),
    ],
)
def test_numbers_as_people_read_them(show, value, text):
    assert show(value) == text


def test_the_report_imports_neither_torch_nor_the_runtime():
    code = (
        "import sys, c2f_spec.report.collect, c2f_spec.report.html, c2f_spec.report.markdown\n"
        "print(sorted({'torch', 'runtime', 'av', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
