"""From a model's inputs to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.audio.features import FeatureExtractor, Inputs
from ser.models.embedding import ood_temperature

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[np.float32]
Network = Callable[[Inputs], tuple[Array, Array]]

_BATCH = 256  # clips that a network is asked about at once
_SHIFTED_BATCH = 64  # clips that are moved in time at once


def network_function(model: keras.Model) -> Network:
    """Return a function from inputs of n clips to logits, (n, 8), and activations, (n, m).

    ``model.predict`` spends far longer on its own machinery than on one clip.

    Parameters
    ----------
    model : keras.Model
        See `ser.models.networks.with_activations`.
    """
    import tensorflow as tf

    widths = [output.shape[-1] for output in model.outputs]
    (given,) = model.inputs

    @tf.function(input_signature=[tf.TensorSpec(given.shape, tf.float32)])
    def call(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return model(inputs, training=False)

    def network(inputs: Inputs) -> tuple[Array, Array]:
        (values,) = inputs.values()
        batches = [call(values[i : i + _BATCH]) for i in range(0, len(values), _BATCH)]
        logits, activations = (
            np.concatenate([np.zeros((0, width), np.float32), *(b[k].numpy() for b in batches)])
            for k, width in enumerate(widths)
        )
        return logits, activations

    return network


def averaged(network: Network, extractor: FeatureExtractor, inputs: Inputs) -> tuple[Array, Array]:
    """Return logits and activations averaged over each clip moved a little in time.

    Parameters
    ----------
    network : callable
        See `network_function`.
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


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return probabilities for logits, along the last axis."""
    from scipy.special import softmax as scipy_softmax

    return np.asarray(scipy_softmax(np.asarray(logits, np.float64), axis=-1))
