"""Sounds made by code that are not speech: noises, hums, clicks, tones and junk.

A classifier of eight emotions has no word for them, so it learns on some of them to prefer none
(*outlier exposure*, Hendrycks et al. 2019, *Deep anomaly detection with outlier exposure*), and is
tested on others whether it then says that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ser.audio import CLIP_SAMPLES, SAMPLING_RATE, Samples, augmentation

Rng = np.random.Generator


def exposure(rng: Rng) -> Samples:
    """Return a sound of a random kind, as training hears it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every choice.

    Returns
    -------
    ndarray of float32, shape (n,)
        Mono, peak at most 1; between .3 s and the 3 s of a clip of sound, silence around it.

    Examples
    --------
    >>> sound = exposure(np.random.default_rng(0))
    >>> sound.shape, bool(np.abs(sound).max() <= 1)
    ((48000,), True)
    """
    rate, length = SAMPLING_RATE, CLIP_SAMPLES
    kinds = (_noise, _hum, _clicks, _tones, _sweep, _junk)
    sound = kinds[rng.integers(len(kinds))](rng, length, rate).astype(np.float64)
    if rng.random() < 0.3:  # two at once
        other = kinds[rng.integers(len(kinds))](rng, length, rate)
        sound = sound + rng.uniform(0.1, 1.0) * other
    if rng.random() < 0.4:  # not all the time
        seconds = rng.uniform(0.3, 2.5)
        start = int(rng.integers(0, length - int(seconds * rate)))
        gate = np.zeros(length)
        gate[start : start + int(seconds * rate)] = 1.0
        sound = sound * gate
    if rng.random() < 0.3:  # swelling and fading
        time = np.arange(length) / rate
        sound = sound * (1 + np.sin(2 * np.pi * rng.uniform(0.2, 8) * time + rng.uniform(0, 6.3)))
    return (sound / max(float(np.abs(sound).max()), 1e-9)).astype(np.float32)


def coloured_noise(rng: Rng, length: int, exponent: float) -> Samples:
    """Return noise whose power falls with frequency ** -exponent: 0 white, 1 pink, 2 brown."""
    noise = augmentation.colour_noise(rng.normal(size=length), exponent)
    return (noise / np.abs(noise).max()).astype(np.float32)


def harmonics(length: int, rate: int, frequency: float, amplitudes: list[float]) -> Samples:
    """Return a steady tone with the given amplitudes of its partials, those below rate / 2."""
    time = np.arange(length) / rate
    tone = np.zeros(length)
    for i, amplitude in enumerate(amplitudes, 1):
        if i * frequency < rate / 2:
            tone += amplitude * np.sin(2 * np.pi * i * frequency * time)
    return (tone / max(float(np.abs(tone).max()), 1e-9)).astype(np.float32)


def click_train(length: int, rate: int, per_second: float, milliseconds: float) -> Samples:
    """Return short rectangular clicks at a steady pace."""
    clicks = np.zeros(length, np.float32)
    width = max(int(milliseconds * rate / 1000), 1)
    for start in np.arange(0.1 * rate, length, rate / per_second).astype(int):
        clicks[start : start + width] = 1.0
    return clicks


def _noise(rng: Rng, length: int, rate: int) -> Samples:
    return coloured_noise(rng, length, rng.uniform(-0.3, 2.5))


def _hum(rng: Rng, length: int, rate: int) -> Samples:
    amplitudes = rng.uniform(0, 1, 12) * np.arange(1, 13) ** -rng.uniform(0, 2)
    tone = harmonics(length, rate, rng.uniform(45, 130), list(amplitudes))
    return tone + 10 ** rng.uniform(-3, -1) * coloured_noise(rng, length, 1.0)


def _clicks(rng: Rng, length: int, rate: int) -> Samples:
    sound = click_train(length, rate, np.exp(rng.uniform(-1, 3.4)), rng.uniform(0.05, 4))
    if rng.random() < 0.5:  # each dies away like a tap on a table
        decay = np.exp(-np.arange(int(0.05 * rate)) / (rate * rng.uniform(0.002, 0.02)))
        ring = np.sin(2 * np.pi * rng.uniform(100, 4000) * np.arange(len(decay)) / rate)
        sound = np.convolve(sound, decay * ring)[:length]
    return (sound + 10 ** rng.uniform(-5, -1.5) * rng.normal(size=length)).astype(np.float32)


def _tones(rng: Rng, length: int, rate: int) -> Samples:
    """Make one note, a chord or a tune of pure or rich tones."""
    sound = np.zeros(length)
    amplitudes = list(np.arange(1, 9) ** -rng.uniform(0.5, 6))
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            sound += harmonics(length, rate, np.exp(rng.uniform(4.3, 8.4)), amplitudes)
        return sound.astype(np.float32)
    note = int(rng.uniform(0.1, 1.0) * rate)
    base = np.exp(rng.uniform(4.7, 7.0))
    fade = np.exp(-np.arange(note) / rate * rng.uniform(0, 8))
    for start in range(0, length, note):
        tone = harmonics(note, rate, base * 2 ** (rng.integers(0, 13) / 12), amplitudes) * fade
        sound[start : start + note] += tone[: length - start]
    return sound.astype(np.float32)


def _sweep(rng: Rng, length: int, rate: int) -> Samples:
    from scipy.signal import chirp

    time = np.arange(length) / rate
    low, high = np.exp(rng.uniform(4.3, 8.8, 2))
    return chirp(time, low, time[-1], high, method="logarithmic").astype(np.float32)


def _junk(rng: Rng, length: int, rate: int) -> Samples:
    """Make what broken files and clipped inputs give: squares, steps, random bits."""
    sources: tuple[Callable[..., Samples], ...] = (_noise, _hum, _tones)
    sound = sources[rng.integers(3)](rng, length, rate)
    choice = rng.integers(3)
    if choice == 0:  # hard clipping
        return np.clip(sound * 10 ** rng.uniform(1, 3), -1, 1).astype(np.float32)
    if choice == 1:  # a sample held for a while
        hold = int(rng.integers(2, 60))
        return np.repeat(sound[::hold], hold)[:length].astype(np.float32)
    return rng.choice([-1.0, 0.0, 1.0], length).astype(np.float32)
