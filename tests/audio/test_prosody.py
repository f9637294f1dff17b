import math

import numpy as np
from scipy.signal import find_peaks

from ser.audio import load_audio
from ser.audio.prosody import _count_peaks, measure_prosody


def test_pitch_and_rate_of_a_voice(samples):
    """A man's and a woman's voice, each saying seven syllables in about two seconds."""
    for actor, low, high in (("25", 85, 155), ("26", 165, 260)):
        clip = load_audio(next(samples.rglob(f"03-01-01-01-01-01-{actor}.flac")))
        prosody = measure_prosody(clip)
        assert low < prosody.pitch_hz < high
        assert 2 < prosody.rate < 6


def test_twice_as_fast_is_twice_the_rate():
    t = np.arange(48_000, dtype=np.float32) / 16_000
    rates = [
        measure_prosody((np.sin(1000 * t) * np.sin(np.pi * hz * t) ** 2).astype(np.float32)).rate
        for hz in (2, 4)
    ]
    assert abs(rates[1] / rates[0] - 2) < 0.1


def test_what_is_too_short_has_neither():
    assert all(math.isnan(value) for value in measure_prosody(np.zeros(500, np.float32)))
    assert measure_prosody(np.zeros(5000, np.float32)).rate == 0


def test_peaks_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for decimals in (6, 0):  # the second has plateaus
        for length in (3, 20, 500):
            level = np.round(rng.normal(-20, 6, length), decimals)
            expected, _ = find_peaks(level, height=-25.0, prominence=2.0)
            assert _count_peaks(level) == len(expected)
