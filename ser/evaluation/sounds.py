"""Sounds that are not speech, on which a model is tested whether it says that it does not know.

Made by code, at many levels.  Some kinds are like those that training hears
(`ser.audio.nonspeech.exposure`), others are like none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from ser.audio import Samples
from ser.audio.nonspeech import Rng, click_train, coloured_noise, harmonics

Sounds = Sequence[npt.NDArray[np.floating]]

_RATE, _LENGTH = 16_000, 64_000
_TIME = np.arange(_LENGTH) / _RATE
_LEVELS = (-80, -60, -40, -20, 0, 20)  # dB relative to full scale


def nonspeech_sounds(seed: int = 0) -> Iterator[tuple[str, bool, Samples]]:
    """Yield (kind, whether training hears its like, samples) of sounds that are not speech.

    Each lasts 4 s at 16 kHz and comes at levels from -80 to +20 dB relative to full scale, clipped
    and rounded to 16 bits as a recording would be.

    Examples
    --------
    >>> kinds = {kind for kind, _, _ in nonspeech_sounds()}
    >>> sorted(kinds)[:4]
    ['alarm', 'applause-like clatter', 'bell strokes', 'bird-like chirps']
    """
    rng = np.random.default_rng(seed)
    # In this order, since all draw from one generator.
    for kind, like_training, make in _KINDS:
        for sound in make(rng):
            for level in _LEVELS:
                yield kind, like_training, _recorded(sound, level)


def _recorded(sound: npt.NDArray[np.floating], level: float) -> Samples:
    """Return a sound with its peak at a level, clipped and rounded to 16 bits."""
    peak = max(float(np.abs(sound).max()), 1e-9)
    loud = np.clip(sound / peak * 10 ** (level / 20), -1, 1)
    return (np.round(loud * 32767) / 32768).astype(np.float32)


def _silence(rng: Rng) -> Sounds:
    return [np.zeros(_LENGTH, np.float32)]


def _noises(rng: Rng, *, exponent: float) -> Sounds:
    return [coloured_noise(rng, _LENGTH, exponent) for _ in range(4)]


def _hums(rng: Rng) -> Sounds:
    return [
        harmonics(_LENGTH, _RATE, frequency, partials)
        for frequency in (50.0, 60.0)
        for partials in ([1.0], [1.0, 0.0, 0.5, 0.0, 0.3], [1.0] * 12)
    ]


def _clicks(rng: Rng) -> Sounds:
    return [click_train(_LENGTH, _RATE, n, ms) for n in (1, 3, 10) for ms in (0.1, 2.0)]


def _tones(rng: Rng) -> Sounds:
    return [
        harmonics(_LENGTH, _RATE, frequency, partials)
        for frequency in (100.0, 220.0, 440.0, 1000.0, 3000.0)
        for partials in ([1.0], [1.0, 0.5, 0.25, 0.125])
    ]


def _tunes(rng: Rng) -> Sounds:
    return [
        _tune([262, 330, 392, 523], 0.4, [1.0, 0.4, 0.2]),
        _tune([440, 494, 554, 587, 659], 0.25, [1.0, 0.8, 0.6, 0.4, 0.2]),
        _tune([131, 196, 165, 220], 0.8, [1.0, 0.6, 0.3]),
    ]


def _tune(notes: Sequence[float], seconds: float, partials: list[float]) -> Samples:
    """Return notes (Hz) one after the other, each fading in and out, again and again."""
    size = int(seconds * _RATE)
    fade = np.hanning(size).astype(np.float32)
    played = [harmonics(size, _RATE, note, partials) * fade for note in notes]
    return np.resize(np.concatenate(played), _LENGTH)


def _dial_tones(rng: Rng) -> Sounds:
    return [
        _dial([(697, 1209), (852, 1477)]),
        _dial([(350, 440)]),
        _dial([(941, 1336), (770, 1633)]),
    ]


def _dial(pairs: Sequence[tuple[float, float]]) -> Samples:
    """Return pairs of sines, .2 s each with pauses of .1 s between, as a telephone dials."""
    time = np.arange(int(0.2 * _RATE)) / _RATE
    pause = np.zeros(int(0.1 * _RATE))
    parts = []
    for low, high in pairs:
        parts += [0.5 * (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)), pause]
    return np.resize(np.concatenate(parts), _LENGTH).astype(np.float32)


def _alarms(rng: Rng) -> Sounds:
    siren = np.sign(np.sin(2 * np.pi * 600 * _TIME + 3 * np.sin(2 * np.pi * 2 * _TIME)))
    two_tones = 800 + 400 * np.sign(np.sin(2 * np.pi * 1.5 * _TIME))
    return [siren, np.sin(2 * np.pi * two_tones * _TIME)]


def _coughs(rng: Rng) -> Sounds:
    return [
        coloured_noise(rng, _LENGTH, 0.5) * np.exp(-((_TIME % period) * decay)).astype(np.float32)
        for period, decay in ((0.5, 12.0), (0.9, 6.0), (1.3, 20.0))
    ]


def _wind(rng: Rng) -> Sounds:
    gusts = np.arange(0, 4.5, 0.5)
    return [
        coloured_noise(rng, _LENGTH, 1.6)
        * (0.2 + np.abs(np.interp(_TIME, gusts, rng.normal(size=len(gusts)))))
        for _ in range(3)
    ]


def _bells(rng: Rng) -> Sounds:
    stroke = np.exp(-(_TIME % 1.0) * 4)
    partials = (0.5, 1, 1.19, 1.56, 2, 2.74)
    return [
        stroke * sum(np.sin(2 * np.pi * frequency * r * _TIME) / r for r in partials)
        for frequency in (220.0, 440.0, 700.0)
    ]


def _chirps(rng: Rng) -> Sounds:
    sings = np.sin(2 * np.pi * 1.3 * _TIME) > 0.4
    return [
        np.sin(2 * np.pi * (frequency * _TIME + depth * np.sin(2 * np.pi * trill * _TIME))) * sings
        for frequency, depth, trill in (
            (2500.0, 40.0, 9.0),
            (3500.0, 20.0, 25.0),
            (1800.0, 60.0, 5.0),
        )
    ]


def _clatter(rng: Rng) -> Sounds:
    return [
        coloured_noise(rng, _LENGTH, 0.3) * np.repeat(rng.random(_LENGTH // 160) ** 8, 160)
        for _ in range(3)
    ]


_KINDS: tuple[tuple[str, bool, Callable[[Rng], Sounds]], ...] = (
    ("digital silence", True, _silence),
    ("white noise", True, partial(_noises, exponent=0.0)),
    ("pink noise", True, partial(_noises, exponent=1.0)),
    ("brown noise", True, partial(_noises, exponent=2.0)),
    ("hum", True, _hums),
    ("clicks", True, _clicks),
    ("tones", True, _tones),
    ("tunes", True, _tunes),
    ("dial tones", True, _dial_tones),
    ("alarm", True, _alarms),
    ("cough-like bursts", False, _coughs),
    ("wind", True, _wind),
    ("bell strokes", False, _bells),
    ("bird-like chirps", False, _chirps),
    ("applause-like clatter", False, _clatter),
)
