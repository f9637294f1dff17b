"""Encoding clips once, before a network is trained on what the encoder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ser.assets import ENCODER_WEIGHTS
from ser.audio.log_mel import LogMelFeatures
from ser.data.feature_cache import derived_features, derived_nonspeech
from ser.data.features import Features, StoredFeatures
from ser.utils.files import sha256_of
from ser.utils.parallel import Progress

if TYPE_CHECKING:
    import keras

_BATCH = 64


class Encoder:
    """What a front makes of log-mel spectrograms, of clips and copies.

    Parameters
    ----------
    front : keras.Model
        See `ser.models.encoder.build_front`.
    """

    def __init__(self, front: keras.Model) -> None:
        import tensorflow as tf

        shapes = [output.shape[1:] for output in front.outputs]
        self.shapes = dict(zip(("frames", "summary"), shapes, strict=True))
        self._call = tf.function(
            lambda inputs: front(inputs, training=False),
            input_signature=[tf.TensorSpec(front.input_shape, tf.float32)],
            autograph=False,
        )

    def __call__(
        self, log_mels: Features | StoredFeatures, *, copies: int | None = None
    ) -> dict[str, Features]:
        """Return ``frames``, (clips, components, 50, 1), and ``summary``, (clips, 2304).

        Parameters
        ----------
        log_mels : Features or StoredFeatures
            Of shape (clips, 300, 80) and (clips, copies, 300, 80).
        copies : int, optional
            How many copies to encode, if not all.
        """
        clips, every = log_mels.copies.shape[:2]
        copies = every if copies is None else copies
        encoded = {
            name: (
                np.empty((clips, *shape), np.float32),
                np.empty((clips, copies, *shape), np.float16),
            )
            for name, shape in self.shapes.items()
        }
        for first in range(0, clips, _BATCH):
            some = slice(first, first + _BATCH)
            found = self._call(log_mels.clean[some].astype(np.float32))
            for into, values in zip(encoded.values(), found, strict=True):
                into[0][some] = values.numpy()
            for copy in range(copies):
                found = self._call(log_mels.copies[some, copy].astype(np.float32))
                for into, values in zip(encoded.values(), found, strict=True):
                    into[1][some, copy] = values.numpy()
        return {name: Features(*pair) for name, pair in encoded.items()}


def encode(
    paths: Sequence[str],
    *,
    encoder: Encoder,
    copies: int,
    seed: int,
    backgrounds: str,
    n_jobs: int,
    progress: Progress,
) -> dict[str, Features]:
    """Return what the encoder as it ships makes of clips, from the cache where it has that.

    Parameters
    ----------
    paths : sequence of str
        Audio files.
    encoder : Encoder
        Of `ser.models.encoder.build_front` as it is.
    copies, seed, backgrounds, n_jobs, progress
        See `ser.data.feature_cache.compute_features`.

    Returns
    -------
    dict of str to Features
        See `Encoder.__call__`; the clips themselves in half precision as well.
    """
    return derived_features(
        paths,
        lambda features: encoder(features["log_mel"]),
        encoder.shapes,
        key=_key(),
        extractor=LogMelFeatures(),
        copies=copies,
        seed=seed,
        backgrounds=backgrounds,
        n_jobs=n_jobs,
        progress=progress,
    )


def encode_nonspeech(
    numbers: Sequence[int],
    *,
    encoder: Encoder,
    copies: int,
    seed: int,
    n_jobs: int,
    progress: Progress,
) -> dict[str, Features]:
    """Return what the encoder as it ships makes of sounds that are not speech.

    Parameters
    ----------
    encoder
        See `encode`.
    numbers, copies, seed, n_jobs, progress
        See `ser.data.feature_cache.nonspeech_features`.
    """
    return derived_nonspeech(
        numbers,
        lambda features: encoder(features["log_mel"]),
        encoder.shapes,
        key=_key(),
        extractor=LogMelFeatures(),
        copies=copies,
        seed=seed,
        n_jobs=n_jobs,
        progress=progress,
    )


def _key() -> str:
    return f"front 1 of {sha256_of(ENCODER_WEIGHTS)}"
