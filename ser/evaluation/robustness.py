"""Figures of the same clips as they would arrive from elsewhere, and of sounds without speech.

Everything here is for measuring.  White noise, the smaller room and the telephone resemble what
`ser.audio.augmentation` does to training clips; babble of other speakers, MP3, the larger room and
gain do not.
"""

from __future__ import annotations

import io
from contextlib import suppress
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from ser import audio
from ser.audio import Samples, augmentation
from ser.audio.features import FeatureExtractor, Inputs
from ser.errors import DataError
from ser.evaluation import metrics
from ser.evaluation.figures import Condition, ConditionFigures, RejectionFigures
from ser.evaluation.sounds import nonspeech_sounds
from ser.models.recognizer import SURE, Recognizer
from ser.utils.extras import need
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
    need("train", "scipy")
    paths = clips["path"].tolist()
    # Who babbles behind a clip: other clips of the same test part.
    rng = np.random.default_rng(0)
    places = np.arange(len(paths))
    talkers = [[paths[k] for k in rng.permutation(places[places != i])[:_TALKERS]] for i in places]
    one = partial(_all_conditions, extractor=recognizer.extractor)
    items = list(zip(paths, talkers, range(len(paths)), strict=True))
    found = map_items(one, items, "Testing conditions", n_jobs=n_jobs, progress=progress)
    labels = list(recognizer.labels)
    y_true = np.array([labels.index(emotion) for emotion in clips["emotion"]])
    rows = []
    for i, condition in enumerate(CONDITIONS):
        inputs = [conditions[i] for conditions in found]
        # What a condition has made silent gets no answer, and no answer is a wrong one.
        audible = np.array([each is not None for each in inputs])
        probabilities = np.full((len(inputs), len(labels)), 1 / len(labels))
        batch = recognizer.extractor.batch([each for each in inputs if each is not None])
        probabilities[audible] = recognizer.probabilities(batch)
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
    need("train", "scipy")
    rows = []
    for kind, like_training, count, inputs in _rejection_inputs(recognizer.extractor, seed):
        probabilities = recognizer.probabilities(inputs)
        confidence = probabilities.max(axis=1)
        rows.append(
            RejectionFigures(
                kind=kind,
                like_training=like_training,
                n=count,
                sure=int((recognizer.verdicts(probabilities) == SURE).sum()),
                confidence=float(confidence.mean()) if len(confidence) else None,
            )
        )
    return rows


@lru_cache(maxsize=1)  # 348 sounds take longer than most models do to answer to them
def _rejection_inputs(
    extractor: FeatureExtractor, seed: int
) -> list[tuple[str, bool, int, Inputs]]:
    """Return kind, whether training hears its like, number and inputs of each kind of sound."""
    found = []
    sounds = pd.DataFrame(nonspeech_sounds(seed), columns=["kind", "like_training", "samples"])
    for kind, group in sounds.groupby("kind", sort=False):
        inputs = []
        for samples in group["samples"]:
            with suppress(audio.SilentAudioError):  # refused as it should be
                inputs.append(extractor(samples))
        like_training = bool(group["like_training"].iloc[0])
        found.append((str(kind), like_training, len(group), extractor.batch(inputs)))
    return found


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
    return audio.load_audio(file.getvalue(), sampling_rate=rate)


def _all_conditions(
    item: tuple[str, list[str], int], *, extractor: FeatureExtractor
) -> list[Inputs | None]:
    """Return the inputs of a clip under every condition, None where it has become silent."""
    path, talkers, number = item
    rate = audio.SAMPLING_RATE
    try:
        samples = audio.load_audio(path)
        crowd = np.zeros(len(samples), np.float32)
        for talker in talkers:
            voice = audio.prepare_clip(audio.load_audio(talker))
            crowd += np.resize(voice.samples, len(samples))
        inputs: list[Inputs | None] = []
        for i, condition in enumerate(CONDITIONS):
            rng = np.random.default_rng([number, i])
            arrived = changed(condition, samples, rng, rate, crowd)
            try:
                inputs.append(extractor(arrived))
            except audio.SilentAudioError:
                inputs.append(None)
    except audio.AudioError as error:
        raise DataError(f"{path}: {error}") from error
    return inputs


def _mix(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add noise so far below the power of the speech; pauses at its ends do not count as speech."""
    start, end = audio.find_speech(samples)
    return augmentation.mix(samples, noise, snr_db, speech=samples[start:end])
