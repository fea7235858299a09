"""Drawing clips, decoding them, measuring them: the same quantities go in and come out."""

from __future__ import annotations

import math

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c2f_spec.errors import InvalidData
from c2f_spec.spec.sections import Media
from runtime.media import decode, measure
from runtime.media.speaker import FRAMES, RATE, SECONDS, Cues, cues, draw_face, render, voice
from tests.support.odd_clips import film

MEDIA = Media(fps=2.0, max_frames=4, max_pixels=3136)


@pytest.fixture
def clip(tmp_path):
    render(tmp_path / "clip.mp4", 1.5, seed=7, clip="movie-1")
    return tmp_path / "clip.mp4"


def test_the_same_rating_seed_and_id_give_the_same_bytes(tmp_path, clip):
    paths = [tmp_path / f"{n}.mp4" for n in range(3)]
    render(paths[0], 1.5, seed=7, clip="movie-1")
    render(paths[1], 1.5, seed=8, clip="movie-1")
    render(paths[2], 1.5, seed=7, clip="movie-2")
    assert paths[0].read_bytes() == clip.read_bytes()
    assert len({path.read_bytes() for path in paths}) == 3
    assert clip.stat().st_size < 20_000


def test_cues_follow_the_rating_with_noise_of_their_own():
    ratings = np.random.default_rng(0).normal(0, 1.9, 2000).clip(-4, 4)
    shown = [cues(rating, seed=1, clip=f"c-{n}") for n, rating in enumerate(ratings)]
    values = np.array([[c.pitch, c.energy, c.mouth, c.brows] for c in shown])
    with_rating = [np.corrcoef(column, ratings)[0, 1] for column in values.T]
    assert with_rating == pytest.approx([0.61, 0.33, 0.61, 0.33], abs=0.05)
    noise = values - ratings[:, None] / 4
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.1


@given(st.floats(-4, 4), st.integers(0, 2**31), st.text())
@settings(deadline=None)
def test_any_rating_seed_and_id_can_be_drawn(rating, seed, name):
    shown = cues(rating, seed=seed, clip=name)
    assert max(abs(shown.pitch), abs(shown.mouth)) <= 2
    assert np.isfinite(voice(shown)).all()
    assert draw_face(shown).shape == (FRAMES, 56, 56, 3)


@pytest.mark.parametrize("value", [-2.0, -0.7, 0.0, 0.4, 2.0])
def test_what_is_drawn_is_measured(value):
    shown = Cues(pitch=value, energy=value, mouth=value, brows=value)
    assert measure.pitch(voice(shown)) == pytest.approx(300 * 2 ** (0.65 * value), rel=0.01)
    assert measure.level(voice(shown)) == pytest.approx(-24 + 4 * value, abs=0.3)
    mouth, brows = measure.measure_face(draw_face(shown))
    assert mouth / 3 == pytest.approx(value, abs=0.15)
    assert brows / 1.2 == pytest.approx(value, abs=0.3)


def test_what_is_measured_survives_the_codecs(clip):
    shown, found = cues(1.5, seed=7, clip="movie-1"), measure.measure(clip, MEDIA)
    assert math.log2(found.pitch_hz / 300) / 0.65 == pytest.approx(shown.pitch, abs=0.05)
    assert (found.level_db + 24) / 4 == pytest.approx(shown.energy, abs=0.1)
    assert found.mouth_px / 3 == pytest.approx(shown.mouth, abs=0.2)
    assert found.brows_px / 1.2 == pytest.approx(shown.brows, abs=0.4)


def test_silence_and_a_blank_picture_have_measures():
    levels = [measure.level(np.zeros(length, np.float32)) for length in (0, 10)]
    assert levels == [measure.SILENCE_DB] * 2
    assert math.isfinite(measure.pitch(np.zeros(100, np.float32)))
    assert all(map(math.isfinite, measure.measure_face(np.full((2, 28, 28, 3), 255, np.uint8))))


def test_frames_and_sound_have_the_promised_form(clip):
    pictures, sound = decode.frames(clip, MEDIA), decode.audio(clip)
    assert pictures.shape == (4, 56, 56, 3)
    assert pictures.dtype == np.uint8
    assert sound.dtype == np.float32
    assert sound.shape == (int(RATE * SECONDS) + 768,), "the last AAC frame is full"
    assert np.abs(sound).max() <= 1


def test_frames_are_those_of_pyav(clip):
    with av.open(str(clip)) as container:
        all_frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    wanted = np.stack([all_frames[n] for n in (1, 3, 5, 7)])
    assert np.abs(decode.frames(clip, MEDIA).astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("side", [(56, 56), (120, 120)])
def test_both_decoders_take_the_same_moments_and_nearly_the_same_colours(tmp_path, side):
    film(tmp_path / "long.mp4", side=side, count=23)
    media = [MEDIA.model_copy(update={"decoder": name}) for name in ("decord", "av")]
    by = [decode.frames(tmp_path / "long.mp4", each) for each in media]
    assert by[0].shape == by[1].shape == (4, 56, 56, 3)
    assert np.abs(by[0].astype(int) - by[1]).max() <= 3


def test_packets_that_hold_no_frame_are_not_counted_as_one(tmp_path):
    film(tmp_path / "hollow.mp4", count=8, hollow=3)
    film(tmp_path / "plain.mp4", count=8)
    media = MEDIA.model_copy(update={"decoder": "av"})
    hollow, plain = (decode.frames(tmp_path / f"{name}.mp4", media) for name in ("hollow", "plain"))
    assert (hollow == plain).all()
    assert len({int(picture.mean()) for picture in plain}) == 4


def test_large_frames_are_scaled_down(tmp_path):
    film(tmp_path / "large.mp4", side=(120, 200))
    scaled = decode.frames(tmp_path / "large.mp4", MEDIA.model_copy(update={"max_pixels": 8000}))
    assert scaled.shape == (2, 56, 112, 3)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(28 * 28, 200_000), st.floats(0.01, 1))
@example(42, 43, 3137, 1.0)
def test_fitted_sides_are_multiples_of_28_within_the_limits(height, width, most, part):
    for least in (None, max(1, int(most * part))):
        sides = decode.fit_size(height, width, most, least)
        assert all(side % 28 == 0 and side >= 28 for side in sides)
        assert sides[0] * sides[1] <= most
    larger = decode.fit_size(height, width, most, least)
    smaller = decode.fit_size(height, width, most)
    assert larger[0] * larger[1] >= min(least, smaller[0] * smaller[1])


def test_small_frames_are_scaled_up(tmp_path):
    film(tmp_path / "small.mp4", side=(56, 56))
    media = MEDIA.model_copy(update={"min_pixels": 10_000, "max_pixels": 20_000})
    for decoder in decode.DECODERS:
        scaled = decode.frames(tmp_path / "small.mp4", media.model_copy(update={"decoder": decoder}))
        assert scaled.shape == (2, 112, 112, 3)


@given(st.integers(1, 500), st.floats(0.1, 60), st.floats(0.1, 10), st.integers(1, 64))
def test_frames_are_spread_in_pairs(count, fps, wanted, most):
    taken = decode.frame_indices(count, fps, Media(fps=wanted, max_frames=most))
    assert len(taken) % 2 == 0
    assert 2 <= len(taken) <= max(2, most)
    assert taken == sorted(taken)
    assert 0 <= taken[0] <= taken[-1] < count


def test_sound_at_another_rate_is_resampled_to_mono(tmp_path):
    film(tmp_path / "stereo.mp4", rate=8000)
    sound = decode.audio(tmp_path / "stereo.mp4")
    assert len(sound) == pytest.approx(RATE, abs=3000)
    assert measure.pitch(sound[2000:14000]) == pytest.approx(440, rel=0.02)


def test_a_missing_stream_is_named(tmp_path):
    film(tmp_path / "mute.mp4", rate=None)
    film(tmp_path / "blind.mp4", side=None)
    with pytest.raises(InvalidData, match=r"mute.mp4 has no audio stream"):
        decode.audio(tmp_path / "mute.mp4")
    with pytest.raises(InvalidData, match=r"blind.mp4"):
        decode.frames(tmp_path / "blind.mp4", MEDIA)


@pytest.mark.parametrize("cut", [0, 10, 3000])
def test_a_damaged_file_is_named(tmp_path, clip, cut):
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:cut])
    with pytest.raises(InvalidData, match=r"cut.mp4 cannot be decoded") as caught:
        decode.audio(tmp_path / "cut.mp4")
    assert caught.value.hint
    for decoder, other in (("decord", "av"), ("av", "decord")):
        with pytest.raises(InvalidData, match=r"cut.mp4 cannot be decoded") as caught:
            decode.frames(tmp_path / "cut.mp4", MEDIA.model_copy(update={"decoder": decoder}))
        assert f"`media.decoder: {other}`" in caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    for read in (decode.audio, lambda path: decode.frames(path, MEDIA)):
        with pytest.raises(InvalidData, match=r"file not found: .*gone.mp4"):
            read(tmp_path / "gone.mp4")
