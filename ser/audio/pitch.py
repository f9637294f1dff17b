"""The fundamental frequency of a voice, in NumPy alone and with the numbers that librosa has.

As for `ser.audio.spectra`: what librosa compiles for it takes seconds and 150 MB of a server.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ser.audio.decoding import Samples

Array = npt.NDArray[np.float64]

_FRAMES_AT_ONCE = 2000  # 33 MB of a transform of 2048
_YIN_THRESHOLD = 0.1  # how unlike itself, one period later, a voice may be
_LEAST_UNLIKE = 1e-30

# pYIN, as in the paper and the program of its authors.
_BINS_PER_OCTAVE = 120
_THRESHOLDS = np.linspace(0, 1, 101)
_PRIOR = np.diff(1 - (1 - _THRESHOLDS) ** 19 - 19 * _THRESHOLDS * (1 - _THRESHOLDS) ** 18)
"""How likely each threshold is: Beta(2, 18)."""
_PREFER_SHORT = 2.0  # parameter of a Boltzmann distribution over periods below a threshold
_NO_VALLEY = 0.01  # that the deepest valley is the period although no threshold is above it
_SWITCH = 0.01  # that a voice begins or ends from frame to frame
_OCTAVES_PER_SECOND = 35.92  # that a voice rises or falls at most


def yin(
    samples: Samples, *, sampling_rate: int, lowest: float, highest: float, frame: int, hop: int
) -> Array:
    """Return the fundamental frequency of each centred frame in Hz, also where there is none.

    De Cheveigné & Kawahara 2002, *YIN, a fundamental frequency estimator for speech and music*.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 200 * np.arange(4096) / 16_000).astype(np.float32)
    >>> found = yin(tone, sampling_rate=16_000, lowest=65.0, highest=600.0, frame=1024, hop=512)
    >>> bool(abs(np.median(found) - 200.0) < 2.0)
    True
    """
    lags = int(sampling_rate / highest), int(np.ceil(sampling_rate / lowest))
    periods = [_periods(part, *lags) for part in _frames(samples, frame, hop)]
    return sampling_rate / np.concatenate(periods)


def pyin(
    samples: Samples, *, sampling_rate: int, lowest: float, highest: float, frame: int, hop: int
) -> Array:
    """Return the fundamental frequency of each centred frame in Hz, NaN where there is none.

    Mauch & Dixon 2014, *pYIN: A fundamental frequency estimator using probabilistic threshold
    distributions*: YIN with every threshold, and the likeliest path through what they find.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> found = pyin(tone, sampling_rate=16_000, lowest=65.0, highest=1000.0, frame=2048, hop=512)
    >>> float(np.nanmedian(found).round())
    220.0
    """
    lags = int(sampling_rate / highest), int(np.ceil(sampling_rate / lowest))
    bins = int(_BINS_PER_OCTAVE * np.log2(highest / lowest)) + 1
    parts = []
    for part in _frames(samples, frame, hop):
        periods, chances = _candidates(part, *lags)
        octaves = np.log2(sampling_rate / periods / lowest)
        parts.append(_in_bins(np.rint(_BINS_PER_OCTAVE * octaves), chances, bins))
    semitones = round(12 * _OCTAVES_PER_SECOND * hop / sampling_rate)
    reach = min(_BINS_PER_OCTAVE // 12 * semitones // 2, bins - 1)
    path = _likeliest_path(np.concatenate(parts), reach)
    hertz = lowest * 2 ** (path % bins / _BINS_PER_OCTAVE)
    return np.where(path < bins, hertz, np.nan)


def _frames(samples: Samples, frame: int, hop: int) -> list[Samples]:
    """Return centred frames, cut into parts: half an hour at once would take gigabytes."""
    padded = np.pad(samples, frame // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop]
    return np.split(frames, range(_FRAMES_AT_ONCE, len(frames), _FRAMES_AT_ONCE))


def _unlikeness(frames: Samples, longest: int) -> Array:
    """Return how unlike itself each frame is when moved by 1, 2, … samples, over the usual."""
    frame = frames.shape[1]
    # Power of what each lag leaves of a frame, and how alike it is to the frame moved by the lag.
    power = np.abs(np.fft.rfft(frames, 2 * frame, axis=1)) ** 2
    alike = np.fft.irfft(power, axis=1)[:, : longest + 1]
    before = np.cumsum(np.square(frames, dtype=np.float64), axis=1)[:, :longest]
    unlike = 2 * (alike[:, :1] - alike[:, 1:]) - before
    usual = np.cumsum(unlike, axis=1) / np.arange(1, longest + 1)
    return np.asarray(unlike / np.maximum(usual, _LEAST_UNLIKE))


def _valleys(ratio: Array) -> tuple[npt.NDArray[np.bool_], Array]:
    """Return where rows have valleys, and how far the bottom of each parabola is from there."""
    left, here, right = ratio[:, :-2], ratio[:, 1:-1], ratio[:, 2:]
    inner = (here < left) & (here <= right)
    first = ratio[:, :1] < ratio[:, 1:2]
    last = ratio[:, -1:] < ratio[:, -2:-1]
    rise, bend = (right - left) / 2, left - 2 * here + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(np.abs(rise) < np.abs(bend), -rise / bend, 0.0)
    return np.concatenate([first, inner, last], axis=1), np.pad(shift, ((0, 0), (1, 1)))


def _periods(frames: Samples, shortest: int, longest: int) -> Array:
    """Return the period of each frame in samples, between the shortest and the longest."""
    ratio = _unlikeness(frames, longest)[:, shortest - 1 :]
    valleys, shift = _valleys(ratio)
    valleys &= ratio < _YIN_THRESHOLD
    chosen = np.where(valleys.any(axis=1), valleys.argmax(axis=1), ratio.argmin(axis=1))
    return np.asarray(shortest + chosen + shift[np.arange(len(ratio)), chosen])


def _candidates(frames: Samples, shortest: int, longest: int) -> tuple[Array, Array]:
    """Return the periods that each frame may have, in samples, and how likely each is.

    Both have a column for every lag; what is no valley has the chance 0.
    """
    ratio = _unlikeness(frames, longest)[:, shortest - 1 :]
    valleys, shift = _valleys(ratio)
    chances = np.zeros_like(ratio)
    for row, valley in enumerate(valleys):
        (lags,) = np.nonzero(valley)
        if not len(lags):
            continue
        below = ratio[row, lags, None] < _THRESHOLDS[1:]
        order, count = np.cumsum(below, axis=0) - 1, below.sum(axis=0)
        usual = (1 - np.exp(-_PREFER_SHORT)) / (1 - np.exp(-_PREFER_SHORT * np.maximum(count, 1)))
        found = np.where(below, usual * np.exp(-_PREFER_SHORT * order), 0) @ _PRIOR
        deepest = ratio[row, lags].argmin()
        found[deepest] += _NO_VALLEY * _PRIOR[~below[deepest]].sum()
        chances[row, lags] = found
    return shortest + np.arange(ratio.shape[1]) + shift, chances


def _in_bins(bins: Array, chances: Array, count: int) -> Array:
    """Return how likely each bin of pitch is in each frame."""
    found = np.zeros((len(chances), count))
    rows, lags = np.nonzero(chances)
    found[rows, np.clip(bins[rows, lags], 0, count - 1).astype(int)] = chances[rows, lags]
    return found


def _likeliest_path(voiced: Array, reach: int) -> npt.NDArray[np.int64]:
    """Return the likeliest bin of each frame, or that and the number of bins where it is unvoiced.

    Viterbi's algorithm over bins with and without a voice; from frame to frame a pitch moves by at
    most `reach` bins, less far more often.
    """
    count, bins = voiced.shape
    silent = np.repeat(1 - np.clip(voiced.sum(axis=1, keepdims=True), 0, 1), bins, axis=1) / bins
    tiny = np.finfo(float).tiny
    seen = np.log(np.stack([voiced, silent], axis=1) + tiny)
    steps = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    leaving = np.log(np.convolve(np.ones(bins), steps)[reach : reach + bins])
    stay, switch = np.log(1 - _SWITCH), np.log(_SWITCH)
    came_from = np.zeros((count, 2, bins), np.int64)
    best = seen[0]
    for frame in range(1, count):
        before = best - leaving
        switched = before[::-1] + switch > before + stay
        before = np.maximum(before + stay, before[::-1] + switch)
        around = np.pad(before, ((0, 0), (reach, reach)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1, axis=1)
        moved = windows + np.log(steps)
        bin_before = moved.argmax(axis=2) + np.arange(bins) - reach
        kind = np.arange(2)[:, None]
        came_from[frame] = np.where(switched[kind, bin_before], 1 - kind, kind) * bins + bin_before
        best = moved.max(axis=2) + seen[frame]
    path = np.empty(count, np.int64)
    path[-1] = best.argmax()
    for frame in range(count - 1, 0, -1):
        path[frame - 1] = came_from[frame].ravel()[path[frame]]
    return path
