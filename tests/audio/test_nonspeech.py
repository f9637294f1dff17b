from itertools import pairwise

import numpy as np
import pytest

from ser import audio
from ser.audio import nonspeech


def slope(samples):
    """Exponent with which the power falls with frequency."""
    power = np.square(np.abs(np.fft.rfft(samples)))
    frequency = np.fft.rfftfreq(len(samples), 1 / 16_000)
    bands = np.geomspace(50, 6000, 12)
    inside = [(frequency >= low) & (frequency < high) for low, high in pairwise(bands)]
    means = [power[band].mean() for band in inside]
    return -np.polyfit(np.log(bands[:-1]), np.log(means), 1)[0]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(exponent):
    noise = nonspeech.coloured_noise(np.random.default_rng(0), 160_000, exponent)
    assert slope(noise) == pytest.approx(exponent, abs=0.15)
    assert np.abs(noise).max() == pytest.approx(1)


def test_a_tone_has_its_partials_and_none_beyond_half_the_rate():
    tone = nonspeech.harmonics(16_000, 16_000, 3000.0, [1.0, 0.5, 1.0])
    spectrum = np.abs(np.fft.rfft(tone))
    assert sorted(np.argsort(spectrum)[-2:]) == [3000, 6000]
    assert spectrum[6000] == pytest.approx(0.5 * spectrum[3000], rel=1e-3)


def test_clicks_come_at_their_pace():
    clicks = nonspeech.click_train(48_000, 16_000, 4, 1.0)
    starts = np.flatnonzero(np.diff(clicks) > 0)
    assert (np.diff(starts) == 4000).all()
    assert clicks.sum() == len(starts) * 16


def test_every_sound_can_be_heard_and_no_two_are_alike():
    rng = np.random.default_rng(1)
    sounds = [nonspeech.exposure(rng) for _ in range(60)]
    for sound in sounds:
        assert sound.shape == (48_000,)
        assert np.isfinite(sound).all()
        assert audio.prepare_clip(sound).samples.shape == (48_000,)
    assert len({audio.audio_hash(sound) for sound in sounds}) == 60


def test_a_seed_makes_the_same_sounds():
    one, same = (nonspeech.exposure(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
