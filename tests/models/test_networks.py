import keras
import numpy as np
import pytest

from ser.audio.features import SPECTRAL
from ser.errors import BundleError
from ser.models.networks import ModelConfig, build_cnn_lstm, members_of, with_activations
from ser.training.config import PRESETS


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(5, 3, (12, *SPECTRAL.shapes["features"])).astype(np.float32)


def test_maps_features_to_one_logit_per_label(inputs):
    model = build_cnn_lstm(ModelConfig(filters=(8, 8), lstm=4))
    assert model(inputs).shape == (12, 8)


def test_every_member_is_a_cnn_and_an_lstm():
    members = members_of(build_cnn_lstm(ModelConfig(members=2)))
    assert len(members) == 2
    for member in members:
        layers = [type(layer).__name__ for layer in member.layers]
        assert layers.count("Conv1D") == 3
        assert "Bidirectional" in layers


def test_a_front_convolves_over_time_and_rows(inputs):
    config = ModelConfig(members=2, front=8, filters=(8, 8, 8), lstm=4)
    model = build_cnn_lstm(config)
    assert model(inputs).shape == (12, 8)
    (first, *_) = (layer for layer in members_of(model)[0].layers if "conv" in layer.name)
    assert first.output.shape == (None, 47, 16, 8)
    # The time axis is as short as without it, and its own activations are no statistics.
    plain = build_cnn_lstm(ModelConfig(members=2, filters=(8, 8, 8), lstm=4))
    both = members_of(model) + members_of(plain)
    shapes = {member.get_layer("embedding").output.shape for member in both}
    assert len(shapes) == 1
    assert with_activations(model).outputs[1].shape == (None, 2 * 24)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("filters", [(8,), (8, 12)])
def test_activations_are_the_means_of_the_blocks_in_their_order(inputs, members, filters):
    model = build_cnn_lstm(ModelConfig(members=members, filters=filters, lstm=4, dropout=0.0))
    normalised = model.get_layer("rows")(inputs)
    expected = [
        np.asarray(keras.Model(m.input, m.get_layer(f"block_{i + 1}").output)(normalised)).mean(1)
        for m in members_of(model)
        for i in range(len(filters))
    ]
    logits, activations = with_activations(model)(inputs)
    np.testing.assert_allclose(activations, np.concatenate(expected, axis=1), atol=1e-5)
    np.testing.assert_allclose(logits, model(inputs), atol=1e-6)


def test_a_model_of_other_make_has_no_activations():
    rows = keras.Sequential(
        [keras.Input(SPECTRAL.shapes["features"]), keras.layers.Flatten(name="rows")]
    )
    with pytest.raises(BundleError, match="not built as the models of this project"):
        with_activations(rows)
    member = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(8)], name="member_1")
    rows.add(member)
    with pytest.raises(BundleError, match="not built as the models of this project"):
        with_activations(rows)


def test_the_answer_is_the_mean_of_the_members(inputs):
    model = build_cnn_lstm(ModelConfig(members=3, filters=(8, 8, 8), lstm=4))
    rows = model.get_layer("rows")
    rows.adapt(inputs)
    each = [np.asarray(member(rows(inputs))) for member in members_of(model)]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(np.asarray(model(inputs)), np.mean(each, axis=0), atol=1e-5)


def test_rows_are_normalised_with_training_statistics(inputs):
    model = build_cnn_lstm(ModelConfig(filters=(8, 8, 8), lstm=4))
    rows = model.get_layer("rows")
    rows.adapt(inputs)
    normalised = np.asarray(rows(inputs))
    # Every row of every channel on its own: over clips and frames.
    np.testing.assert_allclose(normalised.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normalised.std(axis=(0, 2)), 1, atol=1e-3)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_fits_into_ten_megabytes(preset):
    assert build_cnn_lstm(PRESETS[preset]["model"]).count_params() * 4 < 10e6


def test_the_size_follows_the_configuration():
    small = build_cnn_lstm(ModelConfig(filters=(8, 8, 8), lstm=4))
    assert small.count_params() < build_cnn_lstm().count_params() / 50
    # Both directions of the LSTM, and mean and maximum of every filter.
    assert members_of(small)[0].get_layer("embedding").output.shape == (None, 2 * 4 + 2 * 24)


def test_functionals_describe_the_whole_clip(inputs):
    config = ModelConfig(functionals=16, filters=(8, 8, 8), lstm=4)
    member = members_of(build_cnn_lstm(config))[0]
    found = keras.Model(member.input, member.get_layer("functionals").output)
    mean, deviation, most, fall, rise, slow = np.split(np.asarray(found(inputs)), 6, axis=1)
    rows = inputs.transpose(0, 2, 1, 3).reshape(len(inputs), SPECTRAL.frames, -1)
    spread = np.abs(rows - rows.mean(axis=1, keepdims=True)).mean(axis=1)
    np.testing.assert_allclose(mean, rows.mean(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(deviation, spread / 2, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(most, rows.max(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fall, rows.mean(axis=1) - rows.min(axis=1), rtol=1e-4, atol=1e-4)
    for lag, mean_rise in ((1, rise), (4, slow)):
        expected = np.maximum(rows[:, lag:] - rows[:, :-lag], 0).mean(axis=1)
        np.testing.assert_allclose(mean_rise, expected, rtol=1e-3, atol=1e-4)
    # They are read beside the rest, and are no activations of a convolution.
    assert member.get_layer("embedding").output.shape == (None, 2 * 4 + 2 * 24 + 16)
    assert with_activations(build_cnn_lstm(config)).outputs[1].shape == (None, 24)
