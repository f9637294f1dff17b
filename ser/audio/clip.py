"""A recording becomes a clip: silence trimmed, one level, exactly 3 s."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ser.audio import spectra
from ser.audio.decoding import SAMPLING_RATE, Samples, SilentAudioError

CLIP_SAMPLES = 48_000
"""Length of a clip: exactly 3 s."""
CLIP_SECONDS = CLIP_SAMPLES / SAMPLING_RATE
TRIM_DB = 30.0
"""Silence at both ends is what lies this many dB below the loudest frame."""
LEVEL_DBFS = -23.0
"""RMS level that every clip is brought to, in dB relative to full scale: a louder microphone then
does not look like anger."""
SILENCE_PEAK = 2.0**-15
"""Peak below which a recording counts as silent: one step of 16-bit audio, -90 dBFS."""
SILENCE_DBFS = -120.0
"""Level that is given for silence."""

_FRAME, _HOP = 2048, 512  # samples, as librosa.effects.trim has them
_AT_ONCE = 60 * SAMPLING_RATE  # samples of a long recording that are looked at together
_FRAMES_AT_ONCE = _AT_ONCE // _HOP


@dataclass(frozen=True)
class Clip:
    """What the model hears of a recording.

    Attributes
    ----------
    samples : ndarray of float32, shape (48000,)
        Speech at `LEVEL_DBFS`, padded with zeros on both sides if it is shorter.
    start, end : float
        Where the speech stands in the recording, in seconds.
    """

    samples: Samples
    start: float
    end: float


def prepare_clip(samples: Samples) -> Clip:
    """Trim silence at both ends, bring speech to one level, and make it exactly one clip long.

    Speech longer than a clip is cut to the window of most energy; shorter speech is centred
    between zeros.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono, at 16 kHz.

    Returns
    -------
    Clip
        ``samples`` has shape (48000,).

    Raises
    ------
    SilentAudioError
        If the peak is below `SILENCE_PEAK`.

    Examples
    --------
    >>> t = np.arange(32_000, dtype=np.float32) / 16_000
    >>> clip = prepare_clip(np.sin(2 * np.pi * 220 * t))
    >>> clip.samples.shape, clip.start, clip.end
    ((48000,), 0.0, 2.0)
    """
    start, end = find_speech(samples)
    if end - start > CLIP_SAMPLES:
        start = _loudest_window(samples, start, end, CLIP_SAMPLES)
        end = start + CLIP_SAMPLES
    speech = to_level(samples[start:end])
    before = (CLIP_SAMPLES - len(speech)) // 2
    after = CLIP_SAMPLES - len(speech) - before
    return Clip(np.pad(speech, (before, after)), start / SAMPLING_RATE, end / SAMPLING_RATE)


def find_speech(samples: Samples) -> tuple[int, int]:
    """Return the first and one past the last sample after trimming silence at both ends.

    Raises
    ------
    SilentAudioError
        If the peak is below `SILENCE_PEAK`.
    """
    # An offset would keep every frame above the threshold.
    centred = samples - samples.mean() if len(samples) else samples
    peak = float(np.max(np.abs(centred), initial=0.0))
    if peak < SILENCE_PEAK:
        raise SilentAudioError(
            "No speech found: the recording is silent. If you recorded it, check that the "
            "microphone was on and not muted, and record again."
        )
    # librosa's floor of -100 dBFS would cut quiet recordings elsewhere than loud ones.
    centred /= peak
    # As librosa.effects.trim, which cuts a long recording into frames all at once: four times it.
    parts = _overlapping(np.pad(centred, _FRAME // 2))
    power = np.concatenate([spectra.frame_power(p, frame=_FRAME, hop=_HOP) for p in parts])
    level = spectra.power_to_db(power, top_db=None)
    loud = np.flatnonzero(level - level.max() > -TRIM_DB)
    return int(loud[0]) * _HOP, min((int(loud[-1]) + 1) * _HOP, len(samples))


def _overlapping(samples: Samples) -> Iterator[Samples]:
    """Yield a long recording in parts of a minute that have no frame in common and lack none."""
    frames = 1 + (len(samples) - _FRAME) // _HOP
    for first in range(0, frames, _FRAMES_AT_ONCE):
        last = min(first + _FRAMES_AT_ONCE, frames) - 1
        yield samples[first * _HOP : last * _HOP + _FRAME]


def speech_level_dbfs(samples: Samples) -> float:
    """Return the RMS level without offset, which pauses have as well; -120 of silence.

    Examples
    --------
    >>> speech_level_dbfs(np.array([0.3, 0.1] * 100, dtype=np.float32))
    -20.0
    >>> speech_level_dbfs(np.full(100, 0.1, dtype=np.float32))
    -120.0
    """
    centred = samples - samples.mean() if len(samples) else samples
    silent = np.abs(centred).max(initial=0.0) < SILENCE_PEAK
    return SILENCE_DBFS if silent else level_dbfs(centred)


def to_level(samples: Samples) -> Samples:
    """Remove the offset and bring the RMS to `LEVEL_DBFS`.

    Examples
    --------
    >>> level_dbfs(to_level(np.array([0.1, -0.1] * 100, dtype=np.float32)))
    -23.0
    """
    centred = samples - samples.mean()
    rms = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    return (centred * (10 ** (LEVEL_DBFS / 20) / max(rms, 1e-12))).astype(np.float32)


def _loudest_window(samples: Samples, start: int, end: int, length: int) -> int:
    best, place = -1.0, start
    for begin in range(start, end - length + 1, _AT_ONCE):  # all at once would take 16 times it
        part = samples[begin : min(begin + _AT_ONCE - 1, end - length) + length]
        energy = np.concatenate([[0.0], np.cumsum(np.square(part, dtype=np.float64))])
        within = energy[length:] - energy[:-length]
        if within.max() > best:
            best, place = float(within.max()), begin + int(np.argmax(within))
    return place


def audio_hash(samples: Samples) -> str:
    """Name a recording by what is heard: equal for the same samples in WAV, FLAC or AIFF.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        As `load_audio` returns them.

    Returns
    -------
    str
        32 hexadecimal digits: half of the SHA-256 of the samples rounded to 16 bits.
    """
    rounded = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:32]


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level in dB relative to full scale, at least -120.

    Examples
    --------
    >>> level_dbfs(np.full(100, 0.1, dtype=np.float32))
    -20.0
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return round(10 * float(np.log10(max(power, 1e-12))), 2)
