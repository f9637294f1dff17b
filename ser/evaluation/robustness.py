"""The same clips as they would arrive from elsewhere, and sounds that are no speech at all.

Everything here is for measuring.  White noise, the smaller room and the telephone resemble what
`ser.audio.augmentation` does to training clips; babble of other speakers, MP3, the larger room and
gain do not.  Of the sounds, some kinds are like none of `ser.audio.nonspeech.exposure`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio import Samples, augmentation, features, nonspeech
from ser.audio.config import Contract
from ser.errors import DataError
from ser.evaluation import metrics
from ser.evaluation.figures import Condition, ConditionFigures, RejectionFigures
from ser.models.recognizer import SURE, Recognizer
from ser.utils.parallel import Progress, map_items

_TALKERS = 6

CONDITIONS = (
    Condition(kind="clean"),
    *(Condition(kind="gain", gain_db=db) for db in (-30, -10, 10, 20)),
    Condition(kind="random-offset"),
    Condition(kind="silence-around"),
    *(Condition(kind="white-noise", snr_db=db) for db in (20, 10)),
    *(Condition(kind="babble", snr_db=db) for db in (20, 10)),
    *(Condition(kind="room", rt60=seconds) for seconds in (0.3, 0.6)),
    Condition(kind="telephone"),
    Condition(kind="mp3"),
)
"""What happens to a clip on its way, see `changed`."""


def measure(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> list[ConditionFigures]:
    """Test a recogniser on the same clips under every condition.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    clips : DataFrame
        Test clips, with ``path`` and ``emotion``.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    list of ConditionFigures
        One for each of `CONDITIONS`, clean first.

    Raises
    ------
    DataError
        If a clip cannot be used.
    """
    paths = clips["path"].tolist()
    # Who babbles behind a clip: other clips of the same test part.
    rng = np.random.default_rng(0)
    places = np.arange(len(paths))
    talkers = [[paths[k] for k in rng.permutation(places[places != i])[:_TALKERS]] for i in places]
    one = partial(_all_conditions, contract=recognizer.contract)
    items = list(zip(paths, talkers, range(len(paths)), strict=True))
    found = map_items(one, items, "Testing conditions", n_jobs=n_jobs, progress=progress)
    labels = list(recognizer.labels)
    y_true = np.array([labels.index(emotion) for emotion in clips["emotion"]])
    rows = []
    for i, condition in enumerate(CONDITIONS):
        inputs = np.array([conditions[i] for conditions in found], np.float32)
        # What a condition has made silent gets no answer, and no answer is a wrong one.
        audible = ~np.isnan(inputs).any(axis=(1, 2, 3))
        probabilities = np.full((len(inputs), len(labels)), 1 / len(labels))
        probabilities[audible] = recognizer.probabilities(inputs[audible])
        y_pred = np.where(audible, probabilities.argmax(axis=1), -1)
        right = int((y_pred == y_true).sum())
        recalls = [(y_pred == t)[y_true == t].mean() for t in np.unique(y_true)]
        sure = audible & (recognizer.verdicts(probabilities) == SURE)
        rows.append(
            ConditionFigures(
                **dict(condition),
                n=len(y_true),
                accuracy=right / len(y_true),
                accuracy_interval=metrics.wilson_interval(right, len(y_true)),
                uar=float(np.mean(recalls)),
                ece=metrics.calibration_error(probabilities, y_true),
                uncertain=float(1 - sure.mean()),
            )
        )
    return rows


def measure_rejection(recognizer: Recognizer, *, seed: int = 0) -> list[RejectionFigures]:
    """Count the sounds without speech that get a sure answer.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    seed : int
        Of the noises.

    Returns
    -------
    list of RejectionFigures
        One for each kind of sound.
    """
    rows = []
    sounds = pd.DataFrame(nonspeech_sounds(seed), columns=["kind", "like_training", "samples"])
    for kind, group in sounds.groupby("kind", sort=False):
        clips = []
        for samples in group["samples"]:
            try:
                clips.append(audio.prepare_clip(samples, contract=recognizer.contract).samples)
            except audio.SilentAudioError:
                continue  # refused as it should be
        inputs = [features.model_input(c, contract=recognizer.contract) for c in clips]
        shape = recognizer.contract.input_shape
        probabilities = recognizer.probabilities(np.array(inputs, np.float32).reshape(-1, *shape))
        confidence = probabilities.max(axis=1)
        rows.append(
            RejectionFigures(
                kind=str(kind),
                like_training=bool(group["like_training"].iloc[0]),
                n=len(group),
                sure=int((recognizer.verdicts(probabilities) == SURE).sum()),
                confidence=float(confidence.mean()) if len(confidence) else None,
            )
        )
    return rows


def nonspeech_sounds(seed: int = 0) -> Iterator[tuple[str, bool, Samples]]:
    """Yield (kind, whether training hears its like, samples) of sounds that are no speech.

    Each lasts 4 s at 16 kHz and comes at levels from -80 to +20 dB relative to full scale, clipped
    and rounded to 16 bits as a recording would be.

    Examples
    --------
    >>> kinds = {kind for kind, _, _ in nonspeech_sounds()}
    >>> sorted(kinds)[:4]
    ['alarm', 'applause-like clatter', 'bell strokes', 'bird-like chirps']
    """
    rate, length = 16_000, 64_000
    rng = np.random.default_rng(seed)
    time = np.arange(length) / rate

    def tune(notes: Sequence[float], seconds: float, partials: list[float]) -> Samples:
        size = int(seconds * rate)
        played = [nonspeech.harmonics(size, rate, f, partials) for f in notes]
        fade = np.hanning(size).astype(np.float32)
        return np.resize(np.concatenate([note * fade for note in played]), length)

    sources: dict[str, tuple[bool, list[npt.NDArray[np.floating]]]] = {
        "digital silence": (True, [np.zeros(length, np.float32)]),
        "white noise": (True, [nonspeech.coloured_noise(rng, length, 0.0) for _ in range(4)]),
        "pink noise": (True, [nonspeech.coloured_noise(rng, length, 1.0) for _ in range(4)]),
        "brown noise": (True, [nonspeech.coloured_noise(rng, length, 2.0) for _ in range(4)]),
        "hum": (
            True,
            [
                nonspeech.harmonics(length, rate, f, partials)
                for f in (50.0, 60.0)
                for partials in ([1.0], [1.0, 0.0, 0.5, 0.0, 0.3], [1.0] * 12)
            ],
        ),
        "clicks": (
            True,
            [nonspeech.click_train(length, rate, n, ms) for n in (1, 3, 10) for ms in (0.1, 2.0)],
        ),
        "tones": (
            True,
            [
                nonspeech.harmonics(length, rate, f, partials)
                for f in (100.0, 220.0, 440.0, 1000.0, 3000.0)
                for partials in ([1.0], [1.0, 0.5, 0.25, 0.125])
            ],
        ),
        "tunes": (
            True,
            [
                tune([262, 330, 392, 523], 0.4, [1.0, 0.4, 0.2]),
                tune([440, 494, 554, 587, 659], 0.25, [1.0, 0.8, 0.6, 0.4, 0.2]),
                tune([131, 196, 165, 220], 0.8, [1.0, 0.6, 0.3]),
            ],
        ),
        "dial tones": (
            True,
            [
                _dial(length, rate, pairs)
                for pairs in ([(697, 1209), (852, 1477)], [(350, 440)], [(941, 1336), (770, 1633)])
            ],
        ),
        "alarm": (
            True,
            [
                np.sign(np.sin(2 * np.pi * 600 * time + 3 * np.sin(2 * np.pi * 2 * time))),
                np.sin(2 * np.pi * (800 + 400 * np.sign(np.sin(2 * np.pi * 1.5 * time))) * time),
            ],
        ),
        "cough-like bursts": (
            False,
            [
                nonspeech.coloured_noise(rng, length, 0.5)
                * np.exp(-((time % period) * decay)).astype(np.float32)
                for period, decay in ((0.5, 12.0), (0.9, 6.0), (1.3, 20.0))
            ],
        ),
        "wind": (
            True,
            [
                nonspeech.coloured_noise(rng, length, 1.6)
                * (0.2 + np.abs(np.interp(time, np.arange(0, 4.5, 0.5), rng.normal(size=9))))
                for _ in range(3)
            ],
        ),
    }
    # Kinds that training has nothing like.
    stroke = np.exp(-(time % 1.0) * 4)
    sources["bell strokes"] = (
        False,
        [
            stroke
            * sum(np.sin(2 * np.pi * f * r * time) / r for r in (0.5, 1, 1.19, 1.56, 2, 2.74))
            for f in (220.0, 440.0, 700.0)
        ],
    )
    sources["bird-like chirps"] = (
        False,
        [
            np.sin(2 * np.pi * (f * time + depth * np.sin(2 * np.pi * rate_ * time)))
            * (np.sin(2 * np.pi * 1.3 * time) > 0.4)
            for f, depth, rate_ in ((2500.0, 40.0, 9.0), (3500.0, 20.0, 25.0), (1800.0, 60.0, 5.0))
        ],
    )
    sources["applause-like clatter"] = (
        False,
        [
            nonspeech.coloured_noise(rng, length, 0.3)
            * np.repeat(rng.random(length // 160) ** 8, 160)
            for _ in range(3)
        ],
    )
    for kind, (known, sounds) in sources.items():
        for sound in sounds:
            for level in (-80, -60, -40, -20, 0, 20):
                peak = max(float(np.abs(sound).max()), 1e-9)
                loud = np.clip(sound / peak * 10 ** (level / 20), -1, 1)
                yield kind, known, (np.round(loud * 32767) / 32768).astype(np.float32)


def _dial(length: int, rate: int, pairs: Sequence[tuple[float, float]]) -> Samples:
    """Return pairs of sines, .2 s each with pauses of .1 s between, as a telephone dials."""
    time = np.arange(int(0.2 * rate)) / rate
    pause = np.zeros(int(0.1 * rate))
    parts = []
    for low, high in pairs:
        parts += [0.5 * (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)), pause]
    return np.resize(np.concatenate(parts), length).astype(np.float32)


def changed(
    condition: Condition,
    samples: Samples,
    rng: np.random.Generator,
    rate: int,
    crowd: Samples,
) -> Samples:
    """Return a clip as it arrives under a condition.

    Parameters
    ----------
    condition : Condition
        What happens to it.
    samples : ndarray of float32, shape (n,)
        The clip.
    rng : Generator
        Of what is left to chance.
    rate : int
        Samples per second.
    crowd : ndarray of float32, shape (n,)
        Other people, who talk in ``babble``.
    """
    match condition:
        case Condition(kind="gain", gain_db=float(db)):
            return (samples * 10 ** (db / 20)).astype(np.float32)  # without clipping
        case Condition(kind="white-noise", snr_db=float(db)):
            return _mix(samples, rng.normal(size=len(samples)).astype(np.float32), db)
        case Condition(kind="babble", snr_db=float(db)):
            return _mix(samples, crowd, db)
        case Condition(kind="room", rt60=float(seconds)):
            return room(samples, rng, rate, rt60=seconds)
        case Condition(kind="telephone"):
            return telephone(samples, rate)
        case Condition(kind="mp3"):
            return mp3(samples, rate)
        case Condition(kind="random-offset"):  # begins up to .5 s later, by any number of samples
            return np.pad(samples, (int(rng.integers(1, rate // 2)), 0))
        case Condition(kind="silence-around"):  # 1 s before and 1.5 s after
            return np.pad(samples, (rate, rate + rate // 2))
    return samples


def room(samples: Samples, rng: np.random.Generator, rate: int, *, rt60: float) -> Samples:
    """Record in a room: direct sound, then a diffuse tail of half its energy from 5 ms on.

    The tail is noise, darker than the direct sound, that falls by 60 dB in `rt60` seconds
    (Moorer 1979, *About this reverberation business*).
    """
    from scipy.signal import fftconvolve, lfilter

    time = np.arange(int(rt60 * rate)) / rate
    tail = lfilter([1.0], [1.0, -0.5], rng.normal(size=len(time))) * 10 ** (-3 * time / rt60)
    tail[: int(0.005 * rate)] = 0.0
    tail *= np.sqrt(0.5 / np.sum(np.square(tail)))
    tail[0] = 1.0
    return fftconvolve(samples, tail).astype(np.float32)


def telephone(samples: Samples, rate: int) -> Samples:
    """Sample at 8 kHz and keep 300 to 3400 Hz."""
    import soxr
    from scipy.signal import butter, sosfilt

    narrow = soxr.resample(samples, rate, 8000)
    band = butter(4, [300, 3400], btype="bandpass", fs=8000, output="sos")
    return soxr.resample(sosfilt(band, narrow), 8000, rate).astype(np.float32)


def mp3(samples: Samples, rate: int) -> Samples:
    """Write as MP3 at 64 kbit/s and read again."""
    import soundfile

    file = io.BytesIO()
    # libsndfile spreads the format's bit rates over 0 to 1; .65 is 64 kbit/s at 16 kHz.
    soundfile.write(
        file,
        samples,
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=0.65,
    )
    return audio.load_audio(file.getvalue(), sample_rate=rate)


def _all_conditions(item: tuple[str, list[str], int], *, contract: Contract) -> Any:
    path, talkers, number = item
    rate = contract.sample_rate
    silent = np.full(contract.input_shape, np.nan, np.float32)
    try:
        samples = audio.load_audio(path, sample_rate=rate)
        crowd = np.zeros(len(samples), np.float32)
        for talker in talkers:
            voice = audio.prepare_clip(
                audio.load_audio(talker, sample_rate=rate), contract=contract
            )
            crowd += np.resize(voice.samples, len(samples))
        inputs = []
        for i, condition in enumerate(CONDITIONS):
            rng = np.random.default_rng([number, i])
            arrived = changed(condition, samples, rng, rate, crowd)
            try:
                clip = audio.prepare_clip(arrived, contract=contract)
            except audio.SilentAudioError:
                inputs.append(silent)
                continue
            inputs.append(features.model_input(clip.samples, contract=contract))
    except audio.AudioError as error:
        raise DataError(f"{path}: {error}") from error
    return np.array(inputs)


def _mix(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add noise so far below the power of the speech; pauses at its ends do not count as speech."""
    start, end = audio.find_speech(samples)
    return augmentation.mix(samples, noise, snr_db, speech=samples[start:end])
