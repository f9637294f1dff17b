"""Why a recogniser answers as it does: which time and which rows of its input moved the answer.

By occlusion (Zeiler & Fergus 2014, *Visualizing and understanding convolutional networks*): a part
of the input is replaced by what is usual in training, and the network is asked again about the
emotion that was answered.  (It is asked about the clip as it stands; the answer itself is a mean
over the clip moved by a few frames.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio import Samples
from ser.audio.features import Matrix, SpectralFeatures
from ser.errors import BundleError
from ser.models.inference import softmax
from ser.models.recognizer import Recognizer

_WIDTH = 9  # frames hidden at once, about .3 s: a syllable
_STEP = 3


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
        ``start`` and ``end`` (seconds within the 3 s clip) and ``effect``.
    rows : DataFrame
        ``channel`` (0 or 1), ``row`` (0 to 31), ``name``, and ``effect``.  A mel band is hidden
        together with its two neighbours, which overlap it.

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
    BundleError
        If the model has no spectral features that could be hidden.
    """
    extractor = recognizer.extractor
    if not isinstance(extractor, SpectralFeatures):
        raise BundleError(
            f"What a model with the feature extractor {extractor.name} looks at cannot be "
            "explained yet."
        )
    inputs = extractor(samples)["features"]
    starts, hidden_times = _hide_times(inputs, recognizer.feature_means)
    rows, hidden_rows = _hide_rows(inputs, recognizer.feature_means)

    answer = recognizer.probabilities({"features": inputs[None]})[0]
    best = int(answer.argmax())
    hidden = np.array([inputs, *hidden_times, *hidden_rows])
    scaled = recognizer.logits({"features": hidden}) / recognizer.manifest.temperature
    effects = _log_odds(softmax(scaled), best)
    effects = effects[0] - effects[1:]

    seconds = extractor.frame_seconds
    names = [f"mel band {row + 1}" for row in range(extractor.n_mels)] + extractor.row_names
    return Explanation(
        emotion=recognizer.labels[best],
        probability=float(answer[best]),
        time=pd.DataFrame(
            {
                "start": starts * seconds,
                "end": np.minimum((starts + _WIDTH) * seconds, audio.CLIP_SECONDS),
                "effect": effects[: len(starts)],
            }
        ),
        rows=pd.DataFrame(
            {
                "channel": [channel for channel, _ in rows],
                "row": [row for _, row in rows],
                "name": names,
                "effect": effects[len(starts) :],
            }
        ),
    )


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
