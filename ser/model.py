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
    filters : tuple of int
        Filters of each convolution block; every block but the first halves the time axis.
    kernel : int
        Frames that a convolution sees (5 frames of 32 ms).
    lstm : int
        Units of the LSTM in each direction.
    dropout : float
        Part of the activations dropped after each block and before the output, in [0, 1).
    """

    filters: tuple[int, ...] = (128, 192, 256)
    kernel: int = 5
    lstm: int = 96
    dropout: float = 0.3


def build_cnn_lstm(
    config: ModelConfig | None = None, *, contract: Contract = CONTRACT
) -> keras.Model:
    """Build the untrained network: normalise rows, convolve over time, BiLSTM, attend, classify.

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
        layer ``embedding`` is what the last layer classifies.

    Examples
    --------
    >>> model = build_cnn_lstm(ModelConfig(filters=(8,), lstm=4))
    >>> model.input_shape, model.output_shape
    ((None, 32, 94, 2), (None, 8))
    """
    import keras
    from keras import layers

    config = config or ModelConfig()
    rows, frames, channels = contract.input_shape
    inputs = keras.Input(contract.input_shape, name="features")
    # Statistics per row and channel: one pair for all would let the loud first MFCCs drown the
    # rest.
    x = layers.Normalization(axis=(1, 3), name="rows")(inputs)
    x = layers.Permute((2, 1, 3))(x)
    x = layers.Reshape((frames, rows * channels), name="frames")(x)
    for i, filters in enumerate(config.filters):
        x = layers.Conv1D(filters, config.kernel, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        if i > 0:
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
    return keras.Model(inputs, logits, name="cnn_lstm")
