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
from pathlib import Path
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
POOL = 3
"""Frames of 20 ms that are averaged: emotions are slower than sounds."""
COMPONENTS = 96
"""Principal components of its frames that a CNN-LSTM reads, fitted on the project's samples."""
ENCODED_FRAMES = FRAMES // 2 // POOL
"""Frames of an encoded clip: 50, one every 60 ms."""
SUMMARY = 2 * LAYERS * WIDTH
"""Values that sum up a clip: 2304."""

Weights = Mapping[str, npt.NDArray[np.float16]]


def build_encoder(file: Path = ENCODER_WEIGHTS) -> keras.Model:
    """Build the encoder with its trained weights.

    Parameters
    ----------
    file : Path
        Of the weights, see ``scripts/make_encoder.py``.

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

    weights = _read_weights(file)
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


def build_front() -> keras.Model:
    """Build the encoder with what a CNN-LSTM reads of it.

    Returns
    -------
    keras.Model
        Maps log-mel spectrograms, (batch, 300, 80), to two outputs, the layers of these names:
        ``frames``, (batch, 96, 50, 1), whitened principal components of the outputs of all three
        blocks, rows over time as of any spectrogram, one frame every 60 ms; and ``summary``,
        (batch, 2304), of every output of the blocks its mean over the clip and half its mean
        absolute deviation, which tell what no few components keep.

    Raises
    ------
    BundleError
        See `build_encoder`.
    """
    import keras
    from keras import layers

    encoder = build_encoder()
    outputs = layers.Concatenate(name="blocks")(encoder.outputs[1:])
    components = layers.Dense(COMPONENTS, name="components")
    x = components(layers.AveragePooling1D(POOL, name="pooled")(outputs))
    x = layers.Permute((2, 1), name="rows_first")(x)
    frames = layers.Reshape((COMPONENTS, ENCODED_FRAMES, 1), name="frames")(x)
    weights = _read_weights(ENCODER_WEIGHTS)
    components.set_weights([weights["components.kernel"], weights["components.bias"]])
    mean = layers.GlobalAveragePooling1D(keepdims=True, name="mean")(outputs)
    above = layers.ReLU(name="above_mean")(layers.Subtract(name="deviation")([outputs, mean]))
    summary = layers.Concatenate(name="summary")(
        [
            layers.Flatten(name="flat_mean")(mean),
            layers.GlobalAveragePooling1D(name="mean_deviation")(above),
        ]
    )
    front = keras.Model(encoder.input, [frames, summary], name="front")
    front.trainable = False
    return front


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


def _read_weights(file: Path) -> Weights:
    """Read the arrays, named as in the official checkpoint, in half precision."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"The encoder's weights in {file} cannot be read ({error}). Install ser again."
        ) from error
