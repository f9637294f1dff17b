"""The first layers of Whisper's encoder, as Keras' own layers: frames of speech in, features out.

Whisper (Radford et al. 2022, *Robust speech recognition via large-scale weak supervision*,
https://arxiv.org/abs/2212.04356) learned from 680 000 hours of speech by people in rooms of every
kind.  What the early layers of its encoder have learned of voices serves emotions better than
anything that a few thousand acted clips could teach, and better than its last layers do, which
only keep the words.  The weights are those of ``tiny.en`` (licence MIT), see
``models/whisper-tiny-en/SOURCE.md``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.assets import ENCODER_WEIGHTS
from ser.audio.log_mel import FRAMES, N_MELS
from ser.errors import BundleError

if TYPE_CHECKING:
    import keras

LAYERS = 3
"""Transformer blocks that are kept of the encoder's four."""
WIDTH = 384
"""Values that a block gives out for each frame."""
_HEADS, _HIDDEN = 6, 1536
_POOL = 3  # frames of 20 ms that are averaged: emotions are slower than sounds
ENCODED_FRAMES = FRAMES // 2 // _POOL
"""Frames of an encoded clip: 50, one every 60 ms."""

Weights = Mapping[str, npt.NDArray[np.float16]]


def build_encoder() -> keras.Model:
    """Build the encoder with its trained weights.

    Returns
    -------
    keras.Model
        Maps a log-mel spectrogram, (batch, 300, 80), see `ser.audio.log_mel`, to the outputs of
        the layers 0 (what the convolutions give the first block) to 3, each (batch, 150, 384):
        one frame every 20 ms.

    Raises
    ------
    BundleError
        If the weights are missing or damaged.
    """
    import keras
    from keras import layers

    weights = _read_weights()
    inputs = keras.Input((FRAMES, N_MELS), name="log_mel")
    x = layers.Conv1D(WIDTH, 3, padding="same", name="conv_1")(inputs)
    x = layers.Activation("gelu", name="gelu_1")(x)
    # Keras pads an even length on the right alone; Whisper does on both sides.
    x = layers.ZeroPadding1D(1, name="padding")(x)
    x = layers.Conv1D(WIDTH, 3, strides=2, name="conv_2")(x)
    x = layers.Activation("gelu", name="gelu_2")(x)
    # Keras' own layer that adds a constant: it takes off a mean, which is minus the positions.
    x = layers.Normalization(axis=(1, 2), name="positions")(x)
    outputs = [x]
    for i in range(LAYERS):
        x = _block(x, f"block_{i + 1}")
        outputs.append(x)
    encoder = keras.Model(inputs, outputs, name="encoder")
    for layer in encoder.layers:
        if layer.weights:
            layer.set_weights(_weights_of(layer.name, weights))
    encoder.get_layer("positions").finalize_state()  # set_weights alone leaves its mean at zero
    encoder.trainable = False
    return encoder


def fit_components(
    log_mels: npt.NDArray[np.floating], count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Find the principal components of what the encoder's blocks give out for speech.

    Parameters
    ----------
    log_mels : ndarray of float, shape (clips, 300, 80)
        Of training clips; a few hundred are enough.
    count : int
        How many components.

    Returns
    -------
    kernel : ndarray of float32, shape (1152, count)
        Turns a frame of all three blocks into whitened components.
    bias : ndarray of float32, shape (count,)
    """
    import keras
    from sklearn.decomposition import PCA

    encoder = build_encoder()
    pooled = keras.Model(encoder.input, _pooled(encoder))
    frames = pooled.predict(log_mels, batch_size=32, verbose=0).reshape(-1, LAYERS * WIDTH)
    # The outputs of the later blocks are larger, which does not make them more important.
    spread = frames.std(axis=0) + 1e-6
    pca = PCA(count, whiten=True, svd_solver="covariance_eigh").fit(frames / spread)
    kernel = pca.components_.T / np.sqrt(pca.explained_variance_) / spread[:, None]
    bias = -(pca.mean_ * spread) @ kernel
    return kernel.astype(np.float32), bias.astype(np.float32)


def build_front(kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> keras.Model:
    """Build the encoder with a layer behind it that turns its frames into components.

    Parameters
    ----------
    kernel, bias
        See `fit_components`.

    Returns
    -------
    keras.Model
        Maps log-mel spectrograms, (batch, 300, 80), to (batch, components, 50, 1): rows over time
        as of any spectrogram, one frame every 60 ms.
    """
    import keras
    from keras import layers

    encoder = build_encoder()
    components = layers.Dense(len(bias), name="components")
    x = components(_pooled(encoder))
    x = layers.Permute((2, 1), name="rows_first")(x)
    x = layers.Reshape((len(bias), ENCODED_FRAMES, 1), name="channel")(x)
    components.set_weights([kernel, bias])
    front = keras.Model(encoder.input, x, name="front")
    front.trainable = False
    return front


def _pooled(encoder: keras.Model) -> keras.KerasTensor:
    from keras import layers

    x = layers.Concatenate(name="blocks")(encoder.outputs[1:])
    return layers.AveragePooling1D(_POOL, name="pooled")(x)


def _block(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Self-attention, then two dense layers; each reads what is normalised and adds to it."""
    from keras import layers

    normalised = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_attention_norm")(x)
    attention = layers.MultiHeadAttention(_HEADS, WIDTH // _HEADS, name=f"{name}_attention")
    x = layers.Add(name=f"{name}_attended")([x, attention(normalised, normalised)])
    normalised = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_dense_norm")(x)
    hidden = layers.Dense(_HIDDEN, activation="gelu", name=f"{name}_dense_1")(normalised)
    hidden = layers.Dense(WIDTH, name=f"{name}_dense_2")(hidden)
    return layers.Add(name=name)([x, hidden])


def _weights_of(layer: str, weights: Weights) -> list[npt.NDArray[np.float32]]:
    """Return the weights of one layer in Keras' order and shapes."""

    def get(name: str) -> npt.NDArray[np.float32]:
        return weights[name].astype(np.float32)

    if layer == "positions":
        positions = get("embed_positions.weight")
        return [-positions, np.ones_like(positions), np.zeros((), np.int32)]
    if layer.startswith("conv_"):
        name = layer.replace("_", "")
        return [get(f"{name}.weight").transpose(2, 1, 0), get(f"{name}.bias")]
    _, number, *parts = layer.split("_")
    block, part = f"layers.{int(number) - 1}", "_".join(parts)
    if part == "attention":
        heads = (_HEADS, WIDTH // _HEADS)
        found = []
        for name in ("q_proj", "k_proj", "v_proj"):
            # Whisper's keys have no bias, which changes nothing: it would add the same to all.
            bias = weights.get(f"{block}.self_attn.{name}.bias", np.zeros(WIDTH, np.float16))
            kernel = get(f"{block}.self_attn.{name}.weight").T
            found += [kernel.reshape(WIDTH, *heads), bias.astype(np.float32).reshape(heads)]
        kernel = get(f"{block}.self_attn.out_proj.weight").T
        return [*found, kernel.reshape(*heads, WIDTH), get(f"{block}.self_attn.out_proj.bias")]
    if part in _NORMS:
        return [get(f"{block}.{_NORMS[part]}.weight"), get(f"{block}.{_NORMS[part]}.bias")]
    return [get(f"{block}.{_DENSE[part]}.weight").T, get(f"{block}.{_DENSE[part]}.bias")]


_NORMS = {"attention_norm": "self_attn_layer_norm", "dense_norm": "final_layer_norm"}
_DENSE = {"dense_1": "fc1", "dense_2": "fc2"}


def _read_weights() -> Weights:
    """Read the arrays, named as in the official checkpoint, in half precision."""
    try:
        with np.load(ENCODER_WEIGHTS, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"The encoder's weights in {ENCODER_WEIGHTS} cannot be read ({error}). Install ser "
            "again."
        ) from error
