"""Spectra and what is made of them, in NumPy alone and with the numbers that librosa has.

librosa (McFee et al. 2015, *librosa: Audio and music signal analysis in Python*) compiles parts of
itself at the first call of a process, which takes seconds; a prediction should not.  Tests compare
every function here with librosa's of the same name.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float32]

_LEAST_POWER = 1e-10  # that decibels are made of
_CONTRAST_RANGE = 80.0  # dB below the largest peak, and valley, of a clip
_QUANTILE = 0.02  # of a band's bins that are its peak, and its valley


def magnitudes(samples: Matrix, *, n_fft: int, hop_length: int) -> Matrix:
    """Return the magnitudes of centred Hann windows, zeros around, shape (1 + n_fft / 2, frames).

    Examples
    --------
    >>> magnitudes(np.ones(2048, np.float32), n_fft=512, hop_length=256).shape
    (257, 9)
    """
    padded = np.pad(samples, n_fft // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    spectra = np.fft.rfft(windows * hann(n_fft), axis=1)
    return np.ascontiguousarray(np.abs(spectra.astype(np.complex64)).T)


@lru_cache(maxsize=8)
def hann(length: int) -> npt.NDArray[np.float64]:
    """Return a periodic Hann window."""
    window = np.asarray(np.hanning(length + 1)[:-1])
    window.setflags(write=False)  # it is handed to everybody
    return window


def frame_power(samples: Matrix, *, frame: int, hop: int) -> Matrix:
    """Return the mean square of frames, the first of which begins with the samples.

    Examples
    --------
    >>> frame_power(np.array([1, 1, 2, 2], np.float32), frame=2, hop=2).tolist()
    [1.0, 4.0]
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::hop]
    return np.asarray(np.square(frames.T).mean(axis=0), np.float32)


def power_to_db(power: Array, *, top_db: float | None) -> Array:
    """Return decibels (reference 1), no lower than `top_db` below the largest.

    Examples
    --------
    >>> power_to_db(np.array([1.0, 0.1, 0.0]), top_db=30.0).tolist()
    [0.0, -10.0, -30.0]
    """
    decibels = 10.0 * np.log10(np.maximum(power, _LEAST_POWER))
    return decibels if top_db is None else np.maximum(decibels, decibels.max() - top_db)


def mel_frequencies(count: int, *, highest: float) -> npt.NDArray[np.float64]:
    """Return frequencies from 0 Hz to the highest, as far apart as Slaney's mel scale has them.

    Below 1000 Hz the scale is linear, 200 Hz being three mels; above, 27 mels are a factor of 6.4
    (Slaney 1998, *Auditory toolbox*).

    Examples
    --------
    >>> mel_frequencies(5, highest=8000.0).round(1).tolist()
    [0.0, 754.1, 1688.9, 3675.8, 8000.0]
    """
    step = np.log(6.4) / 27.0
    top = highest * 3 / 200 if highest < 1000 else 15.0 + np.log(highest / 1000.0) / step
    mels = np.linspace(0.0, top, count)
    return np.where(mels < 15.0, mels * 200 / 3, 1000.0 * np.exp(step * (mels - 15.0)))


def mel_filters(*, sampling_rate: int, n_fft: int, n_mels: int) -> Matrix:
    """Return Slaney's triangular filters of equal area, shape (n_mels, 1 + n_fft / 2)."""
    edges = mel_frequencies(n_mels + 2, highest=sampling_rate / 2)
    bins = np.fft.rfftfreq(n_fft, 1 / sampling_rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def mfcc(log_mel: Matrix, count: int) -> Matrix:
    """Return the first coefficients of the orthonormal DCT-II of each frame, (count, frames)."""
    return (_cosines(len(log_mel), count) @ log_mel.astype(np.float64)).astype(np.float32)


@lru_cache(maxsize=8)
def _cosines(bands: int, count: int) -> npt.NDArray[np.float64]:
    """Return the first rows of the orthonormal DCT-II, shape (count, bands)."""
    angles = np.pi / bands * np.arange(count)[:, None] * (np.arange(bands) + 0.5)
    basis = np.cos(angles) * np.sqrt(2.0 / bands)
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis)


def chroma_filters(*, sampling_rate: int, n_fft: int, n_chroma: int) -> Matrix:
    """Return how much each bin of a spectrum belongs to each pitch class from C on.

    Gaussian bumps over the distance in semitones from a tuning of 440 Hz, of which those around
    the fifth octave weigh most (Ellis 2007, *Chroma feature analysis and synthesis*).

    Returns
    -------
    ndarray of float32, shape (n_chroma, 1 + n_fft / 2)
    """
    hertz = np.arange(1, n_fft) * sampling_rate / n_fft
    place = n_chroma * np.log2(hertz / (440.0 / 16))
    # 0 Hz has no pitch: an octave and a half below the first bin, so halfway round the circle.
    place = np.concatenate([[place[0] - 1.5 * n_chroma], place])
    width = np.concatenate([np.maximum(np.diff(place), 1.0), [1.0]])
    half = round(n_chroma / 2)
    away = np.remainder(place - np.arange(n_chroma)[:, None] + half, n_chroma) - half
    bumps = np.exp(-0.5 * (2 * away / width) ** 2)
    bumps /= np.linalg.norm(bumps, axis=0)
    bumps *= np.exp(-0.5 * ((place / n_chroma - 5.0) / 2.0) ** 2)
    from_c = np.roll(bumps, -3 * (n_chroma // 12), axis=0)  # they began with A
    return np.ascontiguousarray(from_c[:, : 1 + n_fft // 2], np.float32)


def largest_one(energy: Matrix) -> Matrix:
    """Scale every column so that its largest value is 1; one of zeros stays as it is.

    Examples
    --------
    >>> largest_one(np.array([[1, 0], [4, 0]], np.float32)).tolist()
    [[0.25, 0.0], [1.0, 0.0]]
    """
    largest = np.abs(energy).max(axis=0)
    silent = largest < np.finfo(np.float32).tiny
    return np.asarray(energy / np.where(silent, np.float32(1), largest), np.float32)


def spectral_contrast(magnitude: Matrix, *, sampling_rate: int, n_bands: int) -> Matrix:
    """Return peak against valley in each octave band from 200 Hz on, in dB.

    The first row is of what lies below 200 Hz (Jiang et al. 2002, *Music type classification by
    spectral contrast feature*).

    Returns
    -------
    ndarray of float32, shape (n_bands + 1, frames)
    """
    hertz = np.linspace(0, sampling_rate / 2, len(magnitude))
    edges = np.concatenate([[0.0], 200.0 * 2.0 ** np.arange(n_bands + 1)])
    peaks, valleys = [], []
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = np.flatnonzero((hertz >= low) & (hertz <= high))
        first = inside[0] - (band > 0)
        last = len(hertz) - 1 if band == n_bands else inside[-1]
        count = max(int(np.rint(_QUANTILE * (last - first + 1))), 1)
        # The last bin of a band is the first of the next one.
        ordered = np.sort(magnitude[first : last + (band == n_bands)], axis=0)
        valleys.append(ordered[:count].mean(axis=0))
        peaks.append(ordered[-count:].mean(axis=0))
    decibels = [
        power_to_db(np.array(each, np.float64), top_db=_CONTRAST_RANGE) for each in (peaks, valleys)
    ]
    return (decibels[0] - decibels[1]).astype(np.float32)
