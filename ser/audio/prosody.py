"""How somebody speaks, in two numbers: how high, and how fast."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ser.audio.decoding import SAMPLING_RATE, Samples
from ser.audio.pitch import yin
from ser.audio.spectra import frame_power

_FRAME, _HOP = 1024, 256  # samples
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 600.0
_VOICED_DB, _HEARD_DB, _DIP_DB = 20.0, 25.0, 2.0


class Prosody(NamedTuple):
    """How somebody speaks.

    Attributes
    ----------
    pitch_hz : float
        Median fundamental frequency; NaN if the recording is too short for one.
    rate : float
        Estimated syllables per second; NaN if the recording is too short.
    """

    pitch_hz: float
    rate: float


def measure_prosody(speech: Samples) -> Prosody:
    """Measure how high and how fast somebody speaks, roughly and quickly.

    The pitch is that of YIN (de Cheveigné & Kawahara 2002) in frames at most 20 dB below the
    loudest: of 98 clips of RAVDESS half are within 2 % of pYIN's median, nine in ten within 16 %.
    The rate counts peaks of the level between dips of 2 dB or more, as de Jong & Wempe 2009, *Praat
    script to detect syllable nuclei and measure speech rate automatically*, do.

    Parameters
    ----------
    speech : ndarray of float32, shape (n,)
        Mono audio at 16 kHz without the silence around it.

    Examples
    --------
    >>> t = np.arange(32_000, dtype=np.float32) / 16_000
    >>> four_a_second = np.sin(2 * np.pi * 220 * t) * np.sin(2 * np.pi * 2 * t) ** 2
    >>> prosody = measure_prosody(four_a_second.astype(np.float32))
    >>> round(prosody.pitch_hz), round(prosody.rate)
    (220, 4)
    """
    if len(speech) < _FRAME:
        return Prosody(math.nan, math.nan)
    around = np.pad(speech, _FRAME // 2)
    rms = np.sqrt(frame_power(around, frame=_FRAME, hop=_HOP))
    level = 20 * np.log10(np.maximum(rms / max(float(rms.max()), 1e-9), 1e-6))
    hertz = yin(
        speech,
        sampling_rate=SAMPLING_RATE,
        lowest=_LOWEST_HZ,
        highest=_HIGHEST_HZ,
        frame=_FRAME,
        hop=2 * _HOP,
    )
    voiced = hertz[level[::2][: len(hertz)] > -_VOICED_DB]
    pitch = float(np.median(voiced)) if len(voiced) else math.nan
    rate = _count_peaks(level) * SAMPLING_RATE / len(speech)
    return Prosody(round(pitch, 1), round(rate, 2))


def _count_peaks(level: npt.NDArray[np.floating]) -> int:
    """Count what is loud enough to be heard and stands out from dips on both sides."""
    level = level[np.append(True, np.diff(level) != 0)]  # where it stays there is one peak
    inner = level[1:-1]
    peaks = np.flatnonzero((inner > level[:-2]) & (inner > level[2:]) & (inner >= -_HEARD_DB)) + 1
    return sum(
        min(_dip(level[i::-1], level[i]), _dip(level[i:], level[i])) >= _DIP_DB for i in peaks
    )


def _dip(side: npt.NDArray[np.floating], peak: float) -> float:
    """Return by how much the level falls below a peak before it rises above it."""
    higher = np.flatnonzero(side > peak)
    return float(peak - side[: higher[0] if len(higher) else None].min())
