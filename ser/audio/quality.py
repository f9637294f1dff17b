"""What is wrong with a recording that can be used all the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ser.audio.clip import find_speech, level_dbfs
from ser.audio.decoding import SAMPLING_RATE, Samples

CLIPPED_SHARE = 1e-3
"""Share of samples at full scale from which on a recording is called clipped."""

_QUIET_DBFS, _SHORT = -45.0, 0.7
_FULL_SCALE = 0.999
_FRAME = 400  # samples, 25 ms
_ENERGY = 0.99


class Signal(NamedTuple):
    """What microphone, room and codec leave in a recording.

    Attributes
    ----------
    noise_dbfs : float
        RMS level of the quietest tenth of its 25 ms frames.
    clipped : float
        Share of samples at full scale, in [0, 1].
    bandwidth_hz : float
        Frequency below which 99 % of the energy lies.
    """

    noise_dbfs: float
    clipped: float
    bandwidth_hz: float


def measure_signal(samples: Samples) -> Signal:
    """Measure what microphone, room and codec leave in a recording.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        As `ser.audio.load_audio` returns them.

    Examples
    --------
    >>> t = np.arange(16_000, dtype=np.float32) / 16_000
    >>> tone = np.where(t < 0.5, np.sin(2 * np.pi * 1000 * t), 0.001).astype(np.float32)
    >>> signal = measure_signal(tone)
    >>> round(signal.noise_dbfs), round(signal.bandwidth_hz, -2)
    (-60, 1000.0)
    """
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    powers = np.sort(np.mean(np.square(frames, dtype=np.float64), axis=1))
    quietest = powers[: max(len(powers) // 10, 1)]
    noise = 10 * np.log10(max(float(quietest.mean()), 1e-12)) if len(powers) else -120.0
    spectrum = np.square(np.abs(np.fft.rfft(samples - samples.mean())))
    below = np.cumsum(spectrum)
    place = int(np.searchsorted(below, _ENERGY * below[-1]))
    bandwidth = place * SAMPLING_RATE / 2 / max(len(spectrum) - 1, 1)
    clipped = float(np.mean(np.abs(samples) >= _FULL_SCALE))
    return Signal(round(float(noise), 2), round(clipped, 6), round(bandwidth, 1))


def check_recording(samples: Samples) -> list[str]:
    """Say what is wrong with a recording that can be used all the same.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        As `ser.audio.load_audio` returns them.

    Returns
    -------
    list of str
        Sentences; empty for a good recording.

    Raises
    ------
    SilentAudioError
        If there is nothing to hear.

    Examples
    --------
    >>> check_recording(np.tile(np.float32([0.1, -0.1]), 16_000))
    []
    >>> check_recording(np.tile(np.float32([1, -1]), 16_000))
    ['It is too loud and clips: step back from the microphone, or turn it down.']
    """
    start, end = find_speech(samples)
    speech = samples[start:end]
    found = []
    if np.mean(np.abs(samples) >= _FULL_SCALE) > CLIPPED_SHARE:
        found.append("It is too loud and clips: step back from the microphone, or turn it down.")
    if level_dbfs(speech) < _QUIET_DBFS:
        found.append("It is very quiet: come closer to the microphone, or turn it up.")
    seconds = len(speech) / SAMPLING_RATE
    if seconds < _SHORT:
        found.append("It is very short: say the whole sentence.")
    return found
