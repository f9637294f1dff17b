"""Encoding clips once, before a network is trained on what the encoder makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.data.feature_cache import Features
from ser.errors import RunError
from ser.models.encoder import build_front, fit_components
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress

if TYPE_CHECKING:
    import keras

COMPONENTS = "components.npz"
_FITTED_ON = 400  # clips: 20 000 frames, many more than there are components
_BATCH = 64


def front_of(folder: Path, log_mels: npt.NDArray[np.floating], count: int) -> keras.Model:
    """Return the front of a run's network; it is fitted once and then kept in the run.

    Parameters
    ----------
    folder : Path
        Of the run.
    log_mels : ndarray of float, shape (clips, 300, 80)
        Of its training clips.
    count : int
        Principal components of its frames.

    Raises
    ------
    RunError
        If what the run has kept is damaged.
    """
    file = folder / COMPONENTS
    if not file.exists():
        some = log_mels[:: max(len(log_mels) // _FITTED_ON, 1)]
        kernel, bias = fit_components(some, count)
        with atomic_path(file) as temporary:
            np.savez(temporary, kernel=kernel, bias=bias)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return build_front(arrays["kernel"], arrays["bias"])
    except Exception as error:  # a damaged archive can raise anything
        raise RunError(f"{file} is damaged ({error}). Start a new run.") from error


def encode(front: keras.Model, features: Features, *, progress: Progress) -> Features:
    """Return what a front makes of log-mel spectrograms, of clips and copies.

    Parameters
    ----------
    front : keras.Model
        See `front_of`.
    features : Features
        Of shape (clips, 300, 80) and (clips, copies, 300, 80).
    progress : callable
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Features
        Of shape (clips, components, 50, 1) and (clips, copies, components, 50, 1).
    """
    import tensorflow as tf

    call = tf.function(
        lambda inputs: front(inputs, training=False),
        input_signature=[tf.TensorSpec((None, *features.clean.shape[1:]), tf.float32)],
    )
    clips, copies = features.copies.shape[:2]
    encoded: list[Any] = [
        np.empty((clips, *front.output_shape[1:]), np.float32),
        np.empty((clips, copies, *front.output_shape[1:]), np.float16),
    ]
    for first in range(0, clips, _BATCH):
        some = slice(first, first + _BATCH)
        progress("Encoding clips", first, clips)
        encoded[0][some] = call(features.clean[some]).numpy()
        for copy in range(copies):
            encoded[1][some, copy] = call(features.copies[some, copy].astype(np.float32)).numpy()
    return Features(*encoded)
