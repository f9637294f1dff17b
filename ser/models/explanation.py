"""Why a recogniser answers as it does: which time and which rows of its input moved the answer.

By occlusion (Zeiler & Fergus 2014, *Visualizing and understanding convolutional networks*): a part
of the input is replaced by what is usual in training, and the network is asked again about the
emotion that was answered.  (It is asked about the clip as it stands; the answer itself may be a
mean over the clip moved by a few frames.)  Of a log-mel spectrogram, which an encoder reads, a part
is hidden by what is quietest in the clip: a pause there, or a filter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio import Samples
from ser.audio.features import Matrix, SpectralFeatures
from ser.audio.spectra import mel_frequencies
from ser.models.inference import softmax
from ser.models.recognizer import Recognizer

_WIDTH = 9  # frames hidden at once, about .3 s: a syllable
_STEP = 3
_BANDS = 4  # of a log-mel that are hidden at once


@dataclass(frozen=True)
class Explanation:
    """What moved an answer.

    Attributes
    ----------
    emotion : str
        The answer that is explained, the most probable label.
    probability : float
        Its calibrated probability.
    time : DataFrame
        ``start`` and ``end`` (seconds within the recording) and ``effect``.
    rows : DataFrame
        ``channel`` (0 or 1), ``row`` (0 to 31), ``name``, ``hertz`` (the middle of a band; NaN of
        what is no band) and ``effect``.  A mel band is hidden
        together with its two neighbours, which overlap it; of a log-mel's 80 bands four are hidden
        at once, and ``row`` counts these groups.

    Notes
    -----
    An effect is how far the log-odds of the emotion fall when the part is hidden: positive parts
    spoke for it, negative ones against it; 1 makes it 2.7 times as likely against all others.
    """

    emotion: str
    probability: float
    time: pd.DataFrame
    rows: pd.DataFrame


def explain(recognizer: Recognizer, samples: Samples) -> Explanation:
    """Explain the answer for one clip.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    samples : ndarray of float32, shape (n,)
        A recording at 16 kHz, as `ser.audio.load_audio` returns it.

    Returns
    -------
    Explanation

    Raises
    ------
    AudioError
        If the recording is silent.
    """
    extractor = recognizer.extractor
    clip = audio.prepare_clip(samples)
    inputs = extractor.extract(clip.samples)
    (name,) = inputs
    if isinstance(extractor, SpectralFeatures):
        parts = _spectral_parts(inputs[name], extractor, recognizer.feature_means)
    else:
        parts = _log_mel_parts(inputs[name])

    probabilities, distances = recognizer.answers({name: inputs[name][None]})
    answer, best = probabilities[0], int(probabilities[0].argmax())
    time = _within(parts.time, clip)
    heard = [parts.hidden[i] for i in time.index]  # hiding what is only padding shows nothing
    hidden = np.array([inputs[name], *heard, *parts.hidden[len(parts.time) :]])
    # As sure as the answer is, which depends on how far the whole clip lies from the training.
    scaled = recognizer.logits({name: hidden}) / recognizer.temperatures(distances)
    effects = _log_odds(softmax(scaled), best)
    effects = effects[0] - effects[1:]
    return Explanation(
        emotion=recognizer.labels[best],
        probability=float(answer[best]),
        time=time.reset_index(drop=True).assign(effect=effects[: len(time)]),
        rows=parts.rows.assign(effect=effects[len(time) :]),
    )


def _within(time: pd.DataFrame, clip: audio.Clip) -> pd.DataFrame:
    """Turn seconds of a clip into those of its recording; what is only padding is left out."""
    before = (audio.CLIP_SECONDS - (clip.end - clip.start)) / 2
    moved = time.assign(
        start=(time["start"] - before + clip.start).clip(lower=clip.start),
        end=(time["end"] - before + clip.start).clip(upper=clip.end),
    )
    return moved[moved["end"] > moved["start"]]


@dataclass(frozen=True)
class _Parts:
    """What is hidden: first each part of the time, then each group of rows."""

    time: pd.DataFrame
    rows: pd.DataFrame
    hidden: list[Matrix]


def _spectral_parts(inputs: Matrix, extractor: SpectralFeatures, means: Matrix) -> _Parts:
    starts, hidden_times = _hide_times(inputs, means)
    rows, hidden_rows = _hide_rows(inputs, means)
    seconds = extractor.frame_seconds
    hertz = mel_frequencies(extractor.n_mels + 2, highest=audio.SAMPLING_RATE / 2)[1:-1]
    names = [f"mel band {row + 1}, {hz:.0f} Hz" for row, hz in enumerate(hertz)]
    names += extractor.row_names
    return _Parts(
        _spans(starts * seconds, _WIDTH * seconds),
        pd.DataFrame(
            {
                "channel": [channel for channel, _ in rows],
                "row": [row for _, row in rows],
                "name": names,
                "hertz": [*hertz, *[np.nan] * len(extractor.row_names)],
            }
        ),
        hidden_times + hidden_rows,
    )


def _log_mel_parts(inputs: Matrix) -> _Parts:
    """Hide .3 s at a time, and four bands at a time, of a log-mel spectrogram, (300, 80)."""
    seconds = audio.CLIP_SECONDS / len(inputs)
    width, step = round(0.3 / seconds), round(0.1 / seconds)
    starts = np.arange(0, len(inputs) - width + step, step)
    hidden = []
    for start in starts:
        varied = inputs.copy()
        varied[start : start + width] = inputs.min()
        hidden.append(varied)
    edges = mel_frequencies(inputs.shape[1] + 2, highest=audio.SAMPLING_RATE / 2)
    names, middles = [], []
    for first in range(0, inputs.shape[1], _BANDS):
        varied = inputs.copy()
        varied[:, first : first + _BANDS] = inputs.min()
        hidden.append(varied)
        low, high = edges[first + 1], edges[first + _BANDS]
        names.append(f"{round(low, -1):.0f} to {round(high, -1):.0f} Hz")
        middles.append((low + high) / 2)
    rows = pd.DataFrame(
        {"channel": 0, "row": np.arange(len(names)), "name": names, "hertz": middles}
    )
    return _Parts(_spans(starts * seconds, width * seconds), rows, hidden)


def _spans(starts: npt.NDArray[np.floating], length: float) -> pd.DataFrame:
    return pd.DataFrame({"start": starts, "end": np.minimum(starts + length, audio.CLIP_SECONDS)})


def _hide_times(inputs: Matrix, means: Matrix) -> tuple[npt.NDArray[np.int64], list[Matrix]]:
    """Return the first frames of what is hidden, and the inputs with each of them hidden."""
    starts = np.arange(0, inputs.shape[1] - _WIDTH + _STEP, _STEP)
    hidden = []
    for start in starts:
        varied = inputs.copy()
        varied[:, start : start + _WIDTH] = means
        hidden.append(varied)
    return starts, hidden


def _hide_rows(inputs: Matrix, means: Matrix) -> tuple[list[tuple[int, int]], list[Matrix]]:
    """Return the (channel, row) of what is hidden, and the inputs with each of them hidden."""
    rows = [(channel, row) for channel in (0, 1) for row in range(len(inputs))]
    hidden = []
    for channel, row in rows:
        varied = inputs.copy()
        # Neighbouring mel bands overlap: one alone would be filled in by the others.
        around = slice(max(row - 1, 0), row + 2) if channel == 0 else slice(row, row + 1)
        varied[around, :, channel] = means[around, :, channel]
        hidden.append(varied)
    return rows, hidden


def _log_odds(probabilities: npt.NDArray[np.float64], label: int) -> npt.NDArray[np.float64]:
    chosen = np.clip(probabilities[:, label], 1e-9, 1 - 1e-9)
    return np.log(chosen / (1 - chosen))
