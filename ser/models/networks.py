"""The CNN-LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from ser.audio.features import SPECTRAL, FeatureExtractor
from ser.audio.log_mel import LogMelFeatures
from ser.errors import BundleError
from ser.labels import EMOTIONS
from ser.models.encoder import COMPONENTS, ENCODED_FRAMES, SUMMARY
from ser.utils.settings import STRICT, Settings

if TYPE_CHECKING:
    import keras


# Chosen on unseen corpora, see docs/experiments.md.
_SUMMARY_DROPOUT = 0.5, 0.7


@dataclass(frozen=True, config=STRICT)
class ModelConfig(Settings):
    """Size of the network.

    Raises
    ------
    RunError
        Naming a value that cannot work, and what is possible.
    """

    members: Annotated[int, Field(ge=1, le=20)] = 1
    """Networks of the same make whose logits are averaged."""

    front: Annotated[int, Field(ge=0, le=1024)] = 0
    """Filters of a convolution over time and rows before the blocks, which halves the time axis in
    place of the first block; 0 for none. It minds less at which height a voice's formants are."""

    functionals: Annotated[int, Field(ge=0, le=1024)] = 0
    """Units of a layer that reads how every row of the input is spread and moves over the whole
    clip (functionals, as of Eyben et al. 2010, openSMILE); 0 for none."""

    filters: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=6)
    ] = (96, 144, 192)
    """Filters of each convolution block; every block but the last halves the time axis."""

    kernel: Annotated[int, Field(ge=1, le=94)] = 5
    """Frames that a convolution sees: of 32 ms each in the first block (of 60 ms with an encoder),
    and twice as long after every halving."""

    lstm: Annotated[int, Field(ge=1, le=1024)] = 80
    """Units of the LSTM in each direction."""

    encoder: bool = False
    """Whether the first blocks of Whisper's encoder are read in place of the spectral features.
    What it has learned of speech helps with unseen speakers."""

    summary: Annotated[int, Field(ge=1, le=1024)] = 256
    """Units of a layer that reads mean and deviation of all outputs of the encoder, if there is
    one."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Part of the activations dropped after the blocks."""

    output_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the embedding dropped before the output."""

    @property
    def extractor(self) -> FeatureExtractor:
        """What makes the input of the network."""
        return LogMelFeatures() if self.encoder else SPECTRAL

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what the CNN-LSTM reads, by name: the features, or what an encoder gives out."""
        if self.encoder:
            return {"frames": (COMPONENTS, ENCODED_FRAMES, 1), "summary": (SUMMARY,)}
        return dict(SPECTRAL.shapes)

    @field_validator("filters", mode="before")
    @classmethod
    def _read_filters(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # as JSON and TOML have it


def build_cnn_lstm(
    config: ModelConfig | None = None,
    *,
    labels: int = len(EMOTIONS),
) -> keras.Model:
    """Build the untrained network: normalise rows, ask every member, average their logits.

    A member convolves over time and reads the result with a bidirectional LSTM.  What it classifies
    is the LSTM's output, summed up by attention, together with the mean and the maximum over time
    of every convolution block (statistics pooling, Snyder et al. 2018, *X-vectors*): early blocks
    still tell what later ones have learned to ignore.

    Parameters
    ----------
    config : ModelConfig, optional
        Its size.
    labels : int
        Number of labels.

    Returns
    -------
    keras.Model
        Maps (batch, 32, 94, 2) raw features, or what an encoder gives out (`with_front`), to
        (batch, 8) logits.  The layer ``rows`` learns the mean and variance of every row of each
        channel (``model.get_layer("rows").adapt(x)``), and ``summary_rows`` those of a summary; the
        layers ``member_1``, ``member_2``, … map normalised inputs to logits.  In each of them
        ``block_1``, ``block_2``, … are what the convolution blocks give out (and ``block_summary``
        what becomes of a summary), and ``embedding`` is what the last layer classifies.

    Examples
    --------
    >>> model = build_cnn_lstm(ModelConfig(members=2, filters=(8,), lstm=4))
    >>> model.input_shape, model.output_shape
    ((None, 32, 94, 2), (None, 8))
    """
    import keras
    from keras import layers

    config = config or ModelConfig()
    inputs = [keras.Input(shape, name=name) for name, shape in config.input_shapes.items()]
    # Statistics per row and channel: one pair for all would let the loud first MFCCs drown the
    # rest.
    normalised = [layers.Normalization(axis=(1, 3), name="rows")(inputs[0])]
    if config.encoder:
        normalised.append(layers.Normalization(name="summary_rows")(inputs[1]))
    members = [_member(config, labels, f"member_{i + 1}") for i in range(config.members)]
    logits = [member(_alone(normalised)) for member in members]
    return keras.Model(_alone(inputs), _average(logits), name="cnn_lstm")


def normalised_by(model: keras.Model) -> list[keras.KerasTensor]:
    """Return what the members of a network read: its normalised inputs."""
    return [layer.output for layer in model.layers if layer.name in ("rows", "summary_rows")]


def with_front(front: keras.Model, model: keras.Model) -> keras.Model:
    """Return a network that encodes its input first; it shares front and members with both.

    Parameters
    ----------
    front : keras.Model
        See `ser.models.encoder.build_front`.
    model : keras.Model
        As `build_cnn_lstm` returns it, reading what the front gives out.
    """
    import keras

    normalised = []
    for name, output in zip(("rows", "summary_rows"), front.outputs, strict=True):
        # Of its own: a layer that stands in two networks does not know which one is asked about.
        old = model.get_layer(name)
        new = type(old).from_config(old.get_config())
        normalised.append(new(output))
        new.set_weights(old.get_weights())
        new.finalize_state()  # set_weights alone leaves its mean at zero
    logits = [member(normalised) for member in members_of(model)]
    return keras.Model(front.input, _average(logits), name="cnn_lstm")


def cut(model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """Cut a network in two: the front that encodes a clip, if it has one, and the rest.

    Parameters
    ----------
    model : keras.Model
        As `build_cnn_lstm`, `with_front` or `with_activations` returns it.

    Returns
    -------
    front : keras.Model or None
        Maps the inputs to ``frames`` and ``summary``.
    head : keras.Model
        Maps these, or else the inputs, to the outputs of the model.
    """
    import keras

    if all(layer.name != "summary_rows" for layer in model.layers):
        return None, model
    encoded = [model.get_layer(name).output for name in ("frames", "summary")]
    return keras.Model(model.input, encoded), keras.Model(encoded, model.outputs)


def members_of(model: keras.Model) -> list[keras.Model]:
    """Return the networks that `build_cnn_lstm` averages, in order."""
    return [layer for layer in model.layers if layer.name.startswith("member_")]


def only_member(model: keras.Model, number: int) -> keras.Model:
    """Return one of the networks that `build_cnn_lstm` averages, for inputs as of all of them."""
    import keras

    member = members_of(model)[number]
    return keras.Model(model.input, member(_alone(normalised_by(model))), name="cnn_lstm")


def with_activations(model: keras.Model) -> keras.Model:
    """Return the same network with a second output: what its convolutions make of a clip.

    Parameters
    ----------
    model : keras.Model
        As `build_cnn_lstm` or `with_adaptation_layer` returns it.

    Returns
    -------
    keras.Model
        Maps (batch, 32, 94, 2) to the logits, (batch, 8), and the activations, (batch, n): the
        means over time of every convolution block of every member, one after the other.

    Raises
    ------
    BundleError
        If the model has no such blocks.

    Examples
    --------
    >>> model = with_activations(build_cnn_lstm(ModelConfig(members=2, filters=(8, 16), lstm=4)))
    >>> [output.shape[1] for output in model.outputs]
    [8, 48]
    """
    import keras
    from keras import layers

    if any(layer.name == "activations" for layer in model.layers):  # it has learned a voice
        return keras.Model(model.input, [model.output, model.get_layer("activations").output])
    members = members_of(model)
    if not members or not all(_blocks_of(member) for member in members):
        raise BundleError("The model is not built as the models of this project. Train again.")
    normalised = _alone(normalised_by(model))
    logits, means = [], []
    for member in members:
        own, *found = _with_block_means(member)(normalised)
        logits.append(own)
        means += found
    activations = layers.Concatenate(name="activations")(means)
    return keras.Model(model.input, [_average(logits), activations], name="cnn_lstm")


def _blocks_of(member: keras.Model) -> list[keras.Layer]:
    return [layer for layer in member.layers if layer.name.startswith("block_")]


def _with_block_means(member: keras.Model) -> keras.Model:
    """Return a member with further outputs: the means over time of its convolution blocks."""
    import keras
    from keras import layers

    # Names of their own: in a process of its own Keras would give those of the member again.
    means = [
        layers.GlobalAveragePooling1D(name=f"mean_of_{block.name}")(block.output)
        if len(block.output.shape) == 3
        else block.output
        for block in _blocks_of(member)
    ]
    # One network with several outputs, so that nothing is computed twice.
    return keras.Model(member.input, [member.output, *means], name=member.name)


def _alone(values: list[Any]) -> Any:
    """Return the only one of some values, or all of them: Keras tells one input from a list."""
    return values[0] if len(values) == 1 else values


def _average(logits: list[Any]) -> Any:
    from keras import layers

    return logits[0] if len(logits) == 1 else layers.Average(name="average")(logits)


def with_adaptation_layer(
    opened: keras.Model, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> keras.Model:
    """Return a network with one more layer that has learned a voice; the given one stays as it is.

    Parameters
    ----------
    opened : keras.Model
        As `with_activations` returns it.
    kernel : ndarray of float32, shape (8 + n, 8)
        What becomes of its logits and its activations.
    bias : ndarray of float32, shape (8,)
        Added to that.

    Returns
    -------
    keras.Model
        Maps features to the new logits.
    """
    import keras
    from keras import layers

    number = 1 + sum(layer.name.startswith("adaptation_") for layer in opened.layers)
    adaptation = layers.Dense(len(bias), name=f"adaptation_{number}")
    both = layers.Concatenate(name=f"logits_and_activations_{number}")
    logits = adaptation(both(opened.outputs))
    adaptation.set_weights([kernel, bias])
    return keras.Model(opened.input, logits, name="cnn_lstm")


def _member(config: ModelConfig, labels: int, name: str) -> keras.Model:
    import keras
    from keras import layers

    inputs = [keras.Input(shape) for shape in config.input_shapes.values()]
    rows, frames, channels = inputs[0].shape[1:]
    x = layers.Permute((2, 1, 3))(inputs[0])
    statistics = []
    if config.functionals:
        found = _functionals(layers.Reshape((frames, rows * channels))(x))
        found = layers.Dense(config.functionals, use_bias=False)(found)
        found = layers.BatchNormalization(momentum=0.9)(found)
        statistics.append(layers.ReLU()(found))
    if config.front:
        x = layers.Conv2D(config.front, 5, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu", name="front")(x)
        x = layers.MaxPooling2D((1, 2))(x)
        _, frames, rows, channels = x.shape
    x = layers.Reshape((frames, rows * channels))(x)
    if config.encoder:
        x = layers.SpatialDropout1D(config.dropout)(x)
    for i, filters in enumerate(config.filters):
        x = layers.Conv1D(filters, config.kernel, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu", name=f"block_{i + 1}")(x)
        statistics += [layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]
        if i < len(config.filters) - 1 and not (i == 0 and config.front):
            x = layers.MaxPooling1D(2)(x)
        x = layers.SpatialDropout1D(config.dropout)(x)
    # Unrolled: the frames are few and always as many, and a loop takes a fifth longer per step.
    lstm = layers.LSTM(config.lstm, return_sequences=True, unroll=True)
    x = layers.Bidirectional(lstm)(x)
    weights = layers.Softmax(axis=1, name="attention")(layers.Dense(1)(x))
    x = layers.Dot(axes=1)([weights, x])
    x = layers.Concatenate(name="embedding")([layers.Flatten()(x), *statistics])
    x = layers.Dropout(config.output_dropout)(x)
    logits = layers.Dense(labels, name="logits")(x)
    if config.encoder:
        logits = layers.Add(name="both")([logits, _of_summary(config, inputs[1], labels)])
    return keras.Model(_alone(inputs), logits, name=name)


def _of_summary(config: ModelConfig, summary: Any, labels: int) -> Any:
    """Return logits of what sums up a clip; it forgets much, so that no speaker is learned."""
    from keras import layers

    before, behind = _SUMMARY_DROPOUT
    x = layers.Dense(config.summary)(layers.Dropout(before)(summary))
    x = layers.Activation("gelu", name="block_summary")(x)
    return layers.Dense(labels, name="logits_of_summary")(layers.Dropout(behind)(x))


def _functionals(rows: Any) -> Any:
    """Return mean, deviation, extremes and mean rises of every row, (batch, 6 * rows), by name.

    Made of Keras' own layers only, so that a model file needs no code beside it.
    """
    from keras import layers

    def mean_above(values: Any, others: Any) -> Any:
        return layers.GlobalAveragePooling1D()(layers.ReLU()(layers.Subtract()([values, others])))

    mean = layers.GlobalAveragePooling1D(keepdims=True)(rows)
    found = [
        layers.Flatten()(mean),
        mean_above(rows, mean),  # half the mean absolute deviation
        layers.GlobalMaxPooling1D()(rows),
        layers.GlobalMaxPooling1D()(layers.Subtract()([mean, rows])),  # how far it falls below
    ]
    for lag in (1, 4):  # frames of 32 ms: from sound to sound, and from syllable to syllable
        later = layers.Cropping1D((lag, 0))(rows)
        earlier = layers.Cropping1D((0, lag))(rows)
        found.append(mean_above(later, earlier))
    return layers.Concatenate(name="functionals")(found)
