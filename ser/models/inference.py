"""From a model's inputs to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.audio.features import FeatureExtractor, Inputs
from ser.models.embedding import ood_temperature
from ser.models.networks import cut

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float32]
Answers = tuple[Array, Array]
"""Logits, (n, 8), and activations, (n, m)."""

BATCH = 256
"""Clips that a network is asked about at once."""
ENCODED_BATCH = 64
"""Clips that an encoder reads at once; it makes much of each."""
_SHIFTED_BATCH = 64  # clips that are moved in time at once


Function = Callable[[Inputs], list[Array]]


class CutNetwork:
    """A network as functions from arrays to arrays, cut where the encoder ends.

    Parameters
    ----------
    answer : callable
        Gives logits and activations of encoded clips.
    encode : callable, optional
        Gives frames and summary of the inputs, if an encoder reads them first.

    Attributes
    ----------
    encodes : bool
        Whether an encoder reads the inputs first.
    """

    def __init__(self, answer: Function, encode: Function | None) -> None:
        self.encodes = encode is not None
        self._answer, self._encode = answer, encode

    def encode(self, inputs: Inputs) -> Inputs:
        """Return what the encoder gives out, or the inputs themselves if there is none."""
        if self._encode is None:
            return inputs
        frames, summary = self._encode(inputs)
        return {"frames": frames, "summary": summary}

    def answer(self, encoded: Inputs) -> Answers:
        """Return logits and activations of encoded clips."""
        logits, activations = self._answer(encoded)
        return logits, activations

    def __call__(self, inputs: Inputs) -> Answers:
        """Return logits and activations of clips."""
        return self.answer(self.encode(inputs))


class Network(CutNetwork):
    """A Keras network as functions from arrays to arrays.

    ``model.predict`` spends far longer on its own machinery than on one clip.

    Parameters
    ----------
    model : keras.Model
        See `ser.models.networks.with_activations`.
    """

    def __init__(self, model: keras.Model) -> None:
        front, head = cut(model)
        encode = None if front is None else _function(front, ENCODED_BATCH)
        super().__init__(_function(head, BATCH), encode)


def _function(model: keras.Model, batch: int) -> Callable[[Inputs], list[Array]]:
    import tensorflow as tf

    shapes = [output.shape[1:] for output in model.outputs]
    signature = [tf.TensorSpec(given.shape, tf.float32) for given in model.inputs]

    @tf.function(input_signature=signature, autograph=False)
    def call(*inputs: tf.Tensor) -> list[tf.Tensor]:
        return model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)

    def function(inputs: Inputs) -> list[Array]:
        values = list(inputs.values())
        found = [
            call(*(each[i : i + batch] for each in values)) for i in range(0, len(values[0]), batch)
        ]
        return [
            np.concatenate([np.zeros((0, *shape), np.float32), *(f[k].numpy() for f in found)])
            for k, shape in enumerate(shapes)
        ]

    return function


def averaged(
    network: Callable[[Inputs], Answers], extractor: FeatureExtractor, inputs: Inputs
) -> Answers:
    """Return logits and activations averaged over each clip moved a little in time.

    Parameters
    ----------
    network : callable
        See `Network`.
    extractor : FeatureExtractor
        Of the model; it says by how much, see `FeatureExtractor.shifted`.
    inputs : dict of str to ndarray of float32
        Of n clips.
    """
    count = len(next(iter(inputs.values())))
    found = [network({name: values[:0] for name, values in inputs.items()})]
    for i in range(0, count, _SHIFTED_BATCH):
        some = {name: values[i : i + _SHIFTED_BATCH] for name, values in inputs.items()}
        moved = extractor.shifted(some)
        joined = {name: np.concatenate([each[name] for each in moved]) for name in inputs}
        size = min(_SHIFTED_BATCH, count - i)
        logits, activations = (
            output.reshape(len(moved), size, -1).mean(axis=0) for output in network(joined)
        )
        found.append((logits, activations))
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def calibrated(
    logits: npt.NDArray[np.floating], distances: npt.NDArray[np.floating], temperature: float
) -> npt.NDArray[np.float64]:
    """Return probabilities, the less sure the farther out of distribution a clip lies.

    Parameters
    ----------
    logits : ndarray of float, shape (n, labels)
    distances : ndarray of float, shape (n,)
        See `ser.models.embedding.Embedding.distances`.
    temperature : float
        Of the model.
    """
    return softmax(logits / (temperature * ood_temperature(distances))[:, None])


def above_chance(bound: float, *, many: int, few: int) -> float:
    """Return the probability that lies as far above chance among few labels as one among many.

    Examples
    --------
    >>> above_chance(1 / 8, many=8, few=2), above_chance(1.0, many=8, few=2)
    (0.5, 1.0)
    """
    above = (bound - 1 / many) / (1 - 1 / many)
    return 1 / few + max(above, 0.0) * (1 - 1 / few)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return probabilities for logits, along the last axis."""
    values = np.asarray(logits, np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
