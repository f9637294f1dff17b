import io
import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from ser.audio.features import SPECTRAL
from ser.errors import BundleError
from ser.labels import EMOTIONS
from ser.models import bundle
from ser.models.bundle import MANIFEST_FILE, MODEL_FILE, load_bundle, read_manifest, save_bundle
from ser.models.embedding import EMBEDDING_FILE, read_embedding, write_embedding
from ser.models.manifest import ClipFormat, TrainingClips
from ser.models.networks import ModelConfig, build_cnn_lstm
from ser.models.recognizer import Recognizer
from ser.utils.files import sha256_of
from tests.tiny import tiny_embedding

CLIPS = TrainingClips(ids=["ravdess:x"], audio=["00"])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    save_bundle(
        folder,
        build_cnn_lstm(ModelConfig(filters=(8, 8, 8), lstm=4)),
        tiny_embedding(24),
        name="tiny",
        temperature=1.5,
        min_confidence=0.4,
        training={"config": {"seed": 1}},
        training_clips=CLIPS,
        versions={"keras": "3"},
    )
    return folder


@pytest.fixture
def copied(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def change_manifest(folder, **changes):
    file = folder / MANIFEST_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change_checksum(folder, part, file):
    old = json.loads((folder / MANIFEST_FILE).read_text())[part]
    change_manifest(folder, **{part: old | {"sha256": sha256_of(file)}})


def replace_config(folder, change):
    """Rewrite the model's configuration and give the manifest the new checksum."""
    file = folder / MODEL_FILE
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = change(parts["config.json"].decode()).encode()
    rewrite(folder, parts)


def rewrite(folder, parts, compression=zipfile.ZIP_STORED):
    file = folder / MODEL_FILE
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    change_checksum(folder, "model", file)


def test_what_was_saved_is_loaded(original):
    model, manifest = load_bundle(original)
    again, _ = load_bundle(original)
    inputs = np.random.default_rng(0).normal(size=(2, 32, 94, 2)).astype(np.float32)
    np.testing.assert_array_equal(model(inputs), again(inputs))
    assert manifest.features == SPECTRAL
    assert manifest.labels == EMOTIONS
    assert (manifest.name, manifest.temperature) == ("tiny", 1.5)
    assert manifest.training_clips == CLIPS


def test_a_model_that_does_not_normalise_its_rows_is_refused(copied):
    import keras

    inputs = keras.Input(SPECTRAL.shapes["features"])
    outputs = keras.layers.Dense(8)(keras.layers.Flatten(name="rows")(inputs))
    keras.Model(inputs, outputs).save(copied / MODEL_FILE)
    change_checksum(copied, "model", copied / MODEL_FILE)
    with pytest.raises(BundleError, match="does not normalise its rows"):
        load_bundle(copied)


def test_normalisation_statistics_travel_with_the_model(tmp_path):
    model = build_cnn_lstm(ModelConfig(filters=(8, 8, 8), lstm=4))
    inputs = np.random.default_rng(0).normal(7, 3, (9, 32, 94, 2)).astype(np.float32)
    model.get_layer("rows").adapt(inputs)
    save_bundle(
        tmp_path / "b",
        model,
        tiny_embedding(24),
        name="b",
        temperature=1.0,
        min_confidence=0.4,
        training_clips=TrainingClips(ids=[], audio=[]),
    )
    loaded, _ = load_bundle(tmp_path / "b")
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-6)


def test_only_folders_with_a_manifest_are_bundles(original, tmp_path):
    (tmp_path / "nothing").mkdir()
    assert bundle.find_bundles(original.parent) == [original]
    assert bundle.find_bundles(tmp_path) == []
    with pytest.raises(BundleError, match="not a model bundle"):
        load_bundle(tmp_path / "nothing")
    with pytest.raises(BundleError, match="not a model bundle"):
        load_bundle(tmp_path / "missing")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "replaced"])
def test_a_model_that_is_not_the_described_one_is_refused(copied, damage):
    file = copied / MODEL_FILE
    data = bytearray(file.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray(b"something else")
    file.write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(copied)


def test_a_missing_model_is_refused(copied):
    (copied / MODEL_FILE).unlink()
    with pytest.raises(BundleError, match=r"has no model\.keras"):
        load_bundle(copied)


def test_the_embedding_travels_with_the_model_and_is_the_described_one(copied):
    manifest = read_manifest(copied)
    embedding = bundle.load_embedding(copied, manifest)
    np.testing.assert_array_equal(embedding.points, tiny_embedding(24).points)
    file = copied / EMBEDDING_FILE
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"embedding\.npz is not the one"):
        Recognizer.load(copied)
    file.unlink()
    with pytest.raises(BundleError, match=r"has no embedding\.npz"):
        Recognizer.load(copied)


def test_an_embedding_of_another_model_is_refused(copied):
    write_embedding(copied / EMBEDDING_FILE, tiny_embedding(30))
    change_checksum(copied, "embedding", copied / EMBEDDING_FILE)
    assert read_embedding(copied / EMBEDDING_FILE, labels=8).mean.shape == (30,)
    with pytest.raises(BundleError, match="24 activations and its embedding 30"):
        Recognizer.load(copied)


def test_a_corrupt_model_with_a_matching_checksum_is_refused(copied):
    file = copied / MODEL_FILE
    file.write_bytes(b"PK but no archive")
    change_checksum(copied, "model", file)
    with pytest.raises(BundleError, match="not a Keras model file"):
        load_bundle(copied)


@pytest.mark.parametrize("config", ["9", "null", "[[]]"])
def test_a_model_whose_configuration_is_no_table_is_refused(copied, config):
    replace_config(copied, lambda _: config)
    with pytest.raises(BundleError, match="not a Keras model file"):
        load_bundle(copied)


def test_a_model_with_a_lambda_is_refused(copied):
    replace_config(copied, lambda text: text.replace('"Flatten"', '"Lambda"'))
    with pytest.raises(BundleError, match=r"keras\.layers\.Lambda.*foreign code"):
        load_bundle(copied)


def test_a_model_with_a_class_from_elsewhere_is_refused(copied, tmp_path):
    replace_config(
        copied,
        lambda text: text.replace(
            '"module": "keras.layers", "class_name": "Flatten"',
            '"module": "subprocess", "class_name": "Flatten"',
        ),
    )
    with pytest.raises(BundleError, match=r"subprocess\.Flatten"):
        load_bundle(copied)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "another format"),
        ({"temperature": 0}, "temperature should be"),
        ({"temperature": "hot"}, "temperature should be"),
        ({"min_confidence": 1.5}, "min_confidence should be"),
        ({"features": {}}, "names no feature extractor"),
        ({"features": {**SPECTRAL.model_dump(), "hop_length": "512"}}, "hop_length"),
        ({"features": {**SPECTRAL.model_dump(), "n_fft": 1}}, "n_fft"),
        ({"training_clips": {}}, r"training_clips\.ids is missing"),
        ({"training_clips": {"ids": "abc", "audio": []}}, r"training_clips\.ids should be"),
        ({"temperature": 10**400}, "temperature should be"),
        ({"temperature": 1e-320}, "temperature should be"),
        ({"clip": {**ClipFormat().model_dump(), "samples": 93 * 10**9}}, "samples of 93000000000"),
        ({"clip": {**ClipFormat().model_dump(), "sampling_rate": 8000}}, "sampling_rate of 8000"),
        ({"clip": {**ClipFormat().model_dump(), "trim_db": 40}}, "trim_db of 40"),
        ({"clip": {**ClipFormat().model_dump(), "level_dbfs": "loud"}}, "level_dbfs should be"),
        ({"labels": ["file", "emotion"]}, "'file' is the name of a column"),
        ({"labels": ["happy"]}, "labels: must be two to 10 different names"),
        ({"labels": ["happy", "happy"]}, "labels: must be two to 10 different names"),
        ({"labels": ["happy", "<b>"]}, "must be letters, digits"),
        ({"labels": "neutral"}, "labels should be"),
        ({"model": {}}, r"model\.file is missing"),
        ({"embedding": {}}, r"embedding\.file is missing"),
        ({"embedding": None}, "embedding should be"),
        ({"format": 2}, "another format"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(copied, changes, words):
    change_manifest(copied, **changes)
    with pytest.raises(BundleError, match=words):
        read_manifest(copied)


def test_a_model_that_would_fill_the_memory_is_refused(copied):
    replace_config(copied, lambda text: text.replace('"filters": 8', '"filters": 300000'))
    with pytest.raises(BundleError, match=r"300000.*memory"):
        load_bundle(copied)
    # No number is larger or smaller than NaN.
    replace_config(copied, lambda text: text.replace('"layers": [', '"layers": [NaN, ', 1))
    with pytest.raises(BundleError, match=r"size inf.*memory"):
        load_bundle(copied)
    replace_config(copied, lambda text: text + " " * 2_000_000)
    with pytest.raises(BundleError, match="more than a model"):
        load_bundle(copied)


def test_layers_that_fill_the_memory_together_are_refused(copied):
    """Each is as large as one may be; together they would take gigabytes."""
    import keras

    with keras.StatelessScope(initialize_variables=False):  # else it would take them here
        inputs = values = keras.Input((32, 94, 2))
        values = keras.layers.Flatten()(values)
        for _ in range(20):
            values = keras.layers.Dense(9000)(values)
        config = keras.saving.serialize_keras_object(keras.Model(inputs, values))
    replace_config(copied, lambda _: json.dumps(config))
    with pytest.raises(BundleError, match="more weights than it holds"):
        load_bundle(copied)


@pytest.mark.parametrize("bomb", ["compressed", "never written", "zipped"])
def test_weights_that_unpack_to_far_more_are_refused(copied, bomb):
    with zipfile.ZipFile(copied / MODEL_FILE) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(buffer, "a") as weights:
        if bomb == "compressed":
            weights.create_dataset("more", data=np.zeros(10**7, "f4"), compression="gzip")
        elif bomb == "never written":
            weights.create_dataset("more", shape=(10**12,), dtype="f4")
    parts["model.weights.h5"] = buffer.getvalue()
    rewrite(copied, parts, zipfile.ZIP_DEFLATED if bomb == "zipped" else zipfile.ZIP_STORED)
    with pytest.raises(BundleError, match="is compressed" if bomb == "zipped" else "unpacks to"):
        load_bundle(copied)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = build_cnn_lstm(ModelConfig(filters=(8, 8, 8), lstm=4))
    model.set_weights([np.full_like(values, np.nan) for values in model.get_weights()])
    save_bundle(
        tmp_path / "nan",
        model,
        tiny_embedding(24),
        name="nan",
        temperature=1.0,
        min_confidence=0.4,
    )
    with pytest.raises(BundleError, match="not numbers"):
        load_bundle(tmp_path / "nan")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_torn_manifest_is_refused(copied, text):
    (copied / MANIFEST_FILE).write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_manifest(copied)


def test_a_manifest_that_disagrees_with_the_model_is_refused(copied):
    change_manifest(copied, features={**SPECTRAL.model_dump(), "hop_length": 1024})
    with pytest.raises(BundleError, match="promises"):
        load_bundle(copied)
