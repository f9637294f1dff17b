"""The CNN-LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser.contract import CONTRACT, Contract

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelConfig:
    """Size of the network.

    Attributes
    ----------
    members : int
        Networks of the same make whose logits are averaged.
    filters : tuple of int
        Filters of each convolution block; every block but the last halves the time axis.
    kernel : int
        Frames that a convolution sees (5 frames of 32 ms).
    lstm : int
        Units of the LSTM in each direction.
    dropout : float
        Part of the activations dropped after each block and before the output, in [0, 1).
    """

    members: int = 1
    filters: tuple[int, ...] = (96, 144, 192)
    kernel: int = 5
    lstm: int = 80
    dropout: float = 0.1


def build_cnn_lstm(
    config: ModelConfig | None = None, *, contract: Contract = CONTRACT
) -> keras.Model:
    """Build the untrained network: normalise rows, ask every member, average their logits.

    A member convolves over time, reads the result with a bidirectional LSTM, and sums it up by
    attention.

    Parameters
    ----------
    config : ModelConfig, optional
        Its size.
    contract : Contract
        Shape of the input and number of labels.

    Returns
    -------
    keras.Model
        Maps (batch, 32, 94, 2) raw features to (batch, 8) logits.  The layer ``rows`` learns the
        mean and variance of every row of each channel (``model.get_layer("rows").adapt(x)``); the
        layers ``member_1``, ``member_2``, … map normalised features to logits, and their layer
        ``embedding`` is what their last layer classifies.

    Examples
    --------
    >>> model = build_cnn_lstm(ModelConfig(members=2, filters=(8,), lstm=4))
    >>> model.input_shape, model.output_shape
    ((None, 32, 94, 2), (None, 8))
    """
    import keras
    from keras import layers

    config = config or ModelConfig()
    inputs = keras.Input(contract.input_shape, name="features")
    # Statistics per row and channel: one pair for all would let the loud first MFCCs drown the
    # rest.
    normalised = layers.Normalization(axis=(1, 3), name="rows")(inputs)
    members = [_member(config, contract, f"member_{i + 1}") for i in range(config.members)]
    logits = [member(normalised) for member in members]
    average = logits[0] if len(logits) == 1 else layers.Average(name="average")(logits)
    return keras.Model(inputs, average, name="cnn_lstm")


def members_of(model: keras.Model) -> list[keras.Model]:
    """Return the networks that `build_cnn_lstm` averages, in order."""
    return [layer for layer in model.layers if layer.name.startswith("member_")]


def _member(config: ModelConfig, contract: Contract, name: str) -> keras.Model:
    import keras
    from keras import layers

    rows, frames, channels = contract.input_shape
    inputs = keras.Input(contract.input_shape)
    x = layers.Permute((2, 1, 3))(inputs)
    x = layers.Reshape((frames, rows * channels))(x)
    for i, filters in enumerate(config.filters):
        x = layers.Conv1D(filters, config.kernel, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        if i < len(config.filters) - 1:
            x = layers.MaxPooling1D(2)(x)
        x = layers.SpatialDropout1D(config.dropout / 2)(x)
    # Unrolled: the frames are few and always as many, and a loop takes a fifth longer per step.
    lstm = layers.LSTM(config.lstm, return_sequences=True, unroll=True)
    x = layers.Bidirectional(lstm)(x)
    weights = layers.Softmax(axis=1, name="attention")(layers.Dense(1)(x))
    x = layers.Dot(axes=1)([weights, x])
    x = layers.Flatten(name="embedding")(x)
    x = layers.Dropout(config.dropout)(x)
    logits = layers.Dense(len(contract.labels), name="logits")(x)
    return keras.Model(inputs, logits, name=name)
