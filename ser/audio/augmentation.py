"""Copies of a clip as it might have sounded elsewhere: faster, farther away, in noise.

Every function takes and returns mono samples and draws from the generator it is given, so that a
seed makes the same copies again.  Augmented copies are made from training clips only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ser.audio import CLIP_SAMPLES, SAMPLING_RATE, Samples, SilentAudioError, find_speech, to_level
from ser.utils.parallel import first_call_alone


def augment(speech: Samples, rng: np.random.Generator) -> Samples:
    """Return one varied copy of a clip, of the length and level of any other.

    Speed, tempo, colour, room, position, noise, babble and bandwidth vary at once, each with a
    chance of its own.

    Parameters
    ----------
    speech : ndarray of float32, shape (n,)
        Speech with the silence trimmed off both ends.
    rng : numpy.random.Generator
        Source of every choice.

    Returns
    -------
    ndarray of float32, shape (48000,)
        A clip as `ser.audio.prepare_clip` would return it.

    Examples
    --------
    >>> t = np.arange(24_000, dtype=np.float32) / 16_000
    >>> copy = augment(np.sin(2 * np.pi * 220 * t), np.random.default_rng(0))
    >>> copy.shape
    (48000,)
    """
    rate = SAMPLING_RATE
    if rng.random() < 0.8:
        speech = change_speed(speech, rng.uniform(0.88, 1.14))
    if rng.random() < 0.5:
        speech = change_tempo(speech, rng.uniform(0.85, 1.2))
    if rng.random() < 0.4:
        speech = colour(speech, rng, rate=rate)
    if rng.random() < 0.25:
        speech = reverberate(speech, rng.uniform(0.1, 0.5), rng, rate=rate)
    clip = shift_in_time(speech, CLIP_SAMPLES, rng)
    if rng.random() < 0.5:
        clip = add_noise(clip, rng.uniform(10, 40), rng)
    if rng.random() < 0.2:
        clip = add_babble(clip, rng.uniform(8, 30), rng)
    if rng.random() < 0.12:
        clip = narrow(clip, rng, rate=rate)
    # The last steps are those of any other recording, only that its place is kept.
    try:
        start, end = find_speech(clip)
    except SilentAudioError:
        return clip  # a pause of digital silence longer than a clip was cut out
    return np.pad(to_level(clip[start:end]), (start, len(clip) - end))


def augment_widely(
    speech: Samples, rng: np.random.Generator, backgrounds: Sequence[Samples] = ()
) -> Samples:
    """Return one varied copy of a clip, as `augment` does, and farther from the studio.

    Some copies are a single word of it, reach full scale, stand before a recording of a real
    background, or have been through a lossy codec.

    Parameters
    ----------
    speech : ndarray of float32, shape (n,)
        Speech with the silence trimmed off both ends.
    rng : numpy.random.Generator
        Source of every choice.
    backgrounds : sequence of ndarray of float32, shape (m,)
        What may sound behind it, at 16 kHz.

    Returns
    -------
    ndarray of float32, shape (48000,)
        A clip as `ser.audio.prepare_clip` would return it.

    Examples
    --------
    >>> t = np.arange(24_000, dtype=np.float32) / 16_000
    >>> copy = augment_widely(np.sin(2 * np.pi * 220 * t), np.random.default_rng(0))
    >>> copy.shape
    (48000,)
    """
    if rng.random() < 0.15:
        speech = one_word(speech, rng)
    if rng.random() < 0.15:
        speech = clip_peaks(speech, rng.uniform(0.97, 0.998))
    clip = augment(speech, rng)
    if len(backgrounds) and rng.random() < 0.35:
        background = backgrounds[int(rng.integers(len(backgrounds)))]
        behind = np.roll(np.resize(background, len(clip)), int(rng.integers(len(clip))))
        clip = mix(clip, behind, rng.uniform(3, 30))
    if rng.random() < 0.2:
        clip = through_codec(clip, rng.uniform(0.9, 1.0))
    return to_level(clip)


def one_word(speech: Samples, rng: np.random.Generator) -> Samples:
    """Cut out .5 to 1.5 s, the length of a word or two, if there is more."""
    length = int(rng.uniform(0.5, 1.5) * SAMPLING_RATE)
    start = int(rng.integers(0, max(len(speech) - length, 0) + 1))
    return speech[start : start + length]


def clip_peaks(speech: Samples, quantile: float) -> Samples:
    """Cut off all samples larger than that quantile, as too high a gain does."""
    peak = np.quantile(np.abs(speech), quantile)
    return np.clip(speech, -peak, peak).astype(np.float32)


def through_codec(clip: Samples, compression: float) -> Samples:
    """Encode as Opus and decode again, as telephony does; 1 is the strongest compression."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(clip, -1, 1),
        SAMPLING_RATE,
        format="OGG",
        subtype="OPUS",
        compression_level=compression,
    )
    buffer.seek(0)
    decoded = soundfile.read(buffer, dtype="float32")[0][: len(clip)]
    return np.pad(decoded, (0, len(clip) - len(decoded)))


def change_speed(speech: Samples, factor: float) -> Samples:
    """Play `factor` times as fast; pitch and formants rise with it, as of a smaller speaker."""
    import soxr

    return soxr.resample(speech, factor, 1.0, quality="MQ").astype(np.float32)


@first_call_alone
def change_tempo(speech: Samples, factor: float) -> Samples:
    """Speak `factor` times as fast at the same pitch (phase vocoder)."""
    import librosa

    return librosa.effects.time_stretch(speech, rate=factor, n_fft=1024).astype(np.float32)


def colour(speech: Samples, rng: np.random.Generator, *, rate: int) -> Samples:
    """Filter as another microphone would: a smooth random response within ± 8 dB."""
    spectrum = np.fft.rfft(speech)
    frequencies = np.fft.rfftfreq(len(speech), 1 / rate)
    knots = np.array([60.0, 250.0, 1000.0, 3000.0, rate / 2])
    gains = np.clip(rng.normal(0, 3, len(knots)), -8, 8)
    response = np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(knots), gains)
    return np.fft.irfft(spectrum * 10 ** (response / 20), len(speech)).astype(np.float32)


def reverberate(speech: Samples, rt60: float, rng: np.random.Generator, *, rate: int) -> Samples:
    """Put the speaker into a room whose sound falls by 60 dB in `rt60` seconds.

    The response is noise under an exponential decay behind the direct sound (Moorer 1979).
    """
    from scipy.signal import fftconvolve

    time = np.arange(int(rt60 * rate)) / rate
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / rt60)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(np.square(tail)))
    tail[0] = 1.0
    return fftconvolve(speech, tail)[: len(speech)].astype(np.float32)


def add_noise(clip: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """Add noise `snr_db` below the clip's power, between white and pink."""
    noise = colour_noise(rng.normal(size=len(clip)), rng.uniform(0, 1))
    return mix(clip, noise, snr_db)


def add_babble(clip: Samples, snr_db: float, rng: np.random.Generator) -> Samples:
    """Add voices `snr_db` below the clip's power: itself, backwards and at other speeds."""
    crowd = np.zeros(len(clip))
    for _ in range(5):
        voice = change_speed(clip[::-1], rng.uniform(0.75, 1.3))
        crowd += np.roll(np.resize(voice, len(clip)), rng.integers(len(clip)))
    return mix(clip, crowd, snr_db)


def colour_noise(white: npt.NDArray[np.floating], exponent: float) -> npt.NDArray[np.float64]:
    """Make power fall with frequency ** -exponent: white noise stays so at 0, is pink at 1."""
    spectrum = np.fft.rfft(white)
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** (-exponent / 2)
    return np.fft.irfft(spectrum, len(white))


def mix(
    clip: Samples,
    noise: npt.NDArray[np.floating],
    snr_db: float,
    *,
    speech: Samples | None = None,
) -> Samples:
    """Add a noise `snr_db` below the power of the clip, or of what in it is `speech`."""
    speech = clip if speech is None else speech
    wanted = np.mean(np.square(speech, dtype=np.float64)) / 10 ** (snr_db / 10)
    loudness = max(float(np.mean(np.square(noise, dtype=np.float64))), 1e-20)
    return (clip + noise * np.sqrt(wanted / loudness)).astype(np.float32)


def narrow(clip: Samples, rng: np.random.Generator, *, rate: int) -> Samples:
    """Keep a band from 50 to 350 Hz up to 3 to 6 kHz, as telephones and cheap microphones do."""
    spectrum = np.fft.rfft(clip)
    frequencies = np.fft.rfftfreq(len(clip), 1 / rate)
    low, high = rng.uniform(50, 350), rng.uniform(3000, 6000)
    spectrum[(frequencies < low) | (frequencies > high)] = 0.0
    return np.fft.irfft(spectrum, len(clip)).astype(np.float32)


def shift_in_time(speech: Samples, length: int, rng: np.random.Generator) -> Samples:
    """Cut to, or lay at a random position into, exactly `length` samples."""
    room = length - len(speech)
    if room < 0:
        start = int(rng.integers(0, -room + 1))
        return speech[start : start + length]
    before = int(rng.integers(0, room + 1))
    return np.pad(speech, (before, room - before))
