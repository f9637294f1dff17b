import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from ser.audio.log_mel import LogMelFeatures
from ser.data.feature_cache import Features, compute_features
from ser.errors import RunError
from ser.models.bundle import load_bundle
from ser.models.encoder import build_encoder
from ser.models.networks import ModelConfig
from ser.models.recognizer import Recognizer
from ser.training import encoding, pipeline
from tests.tiny import tiny_config, tiny_corpus, tiny_run

ENCODED = ModelConfig(encoder=16, filters=(8, 8, 8, 8), lstm=4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("corpus") / "clips")


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("encoded") / "run"
    return tiny_run(folder, corpus, model=ENCODED, epochs=10, learning_rate=0.01)


def test_a_model_that_reads_the_encoder_learns_and_answers(run, corpus):
    report = json.loads((run.folder / "report.json").read_text())
    assert report["accuracy"] > 1 / 3
    recognizer = Recognizer.load(run.folder)
    assert recognizer.extractor == LogMelFeatures()
    clips = sorted(corpus.iterdir())[:3]
    together = recognizer.predict_files(clips, n_jobs=1)
    alone = [recognizer.predict(clip).iloc[0] for clip in clips]
    labels = list(recognizer.labels)
    np.testing.assert_allclose(
        together[labels].to_numpy(float), [row[labels].astype(float) for row in alone], atol=1e-5
    )
    timeline = recognizer.timeline(np.tile(np.float32([0.1, -0.1]), 40_000), sampling_rate=16_000)
    assert len(timeline) == 3
    assert "encoder's blocks 1 to 3" in (run.folder / "MODEL_CARD.md").read_text()


def test_the_encoder_takes_half_the_space_and_loses_nothing(run):
    assert (run.folder / "model.keras").stat().st_size < 13_000_000
    model, _ = load_bundle(run.folder)
    expected = {layer.name: layer for layer in build_encoder().layers if layer.weights}
    for name, layer in expected.items():
        for ours, theirs in zip(model.get_layer(name).weights, layer.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with zipfile.ZipFile(run.folder / "model.keras") as archive:
        file = h5py.File(archive.open("model.weights.h5"))
    found = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    large = [item for item in found if item.size > 100_000]
    assert len(large) > 15 and {item.dtype for item in large} == {np.dtype(np.float16)}
    assert np.dtype(np.float32) in {item.dtype for item in found}, "what was trained stays exact"


def test_components_are_uncorrelated_and_of_one_spread(tmp_path, corpus):
    clips = [str(clip) for clip in sorted(corpus.iterdir())]
    log_mels = compute_features(clips, extractor=LogMelFeatures(), copies=1, n_jobs=1)["log_mel"]
    front = encoding.front_of(tmp_path, log_mels.clean, 8)
    seen = []
    encoded = encoding.encode(
        front, log_mels, progress=lambda what, done, total: seen.append((done, total))
    )
    assert encoded.clean.shape == (len(clips), 8, 50, 1)
    assert encoded.copies.shape == (len(clips), 1, 8, 50, 1)
    assert seen[0] == (0, len(clips))
    frames = encoded.clean[..., 0].transpose(0, 2, 1).reshape(-1, 8)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(frames.T), np.eye(8), atol=2e-2)
    other = Features(log_mels.clean[:3] * 0, log_mels.copies[:3])
    again = encoding.encode(encoding.front_of(tmp_path, other.clean, 8), log_mels, progress=print)
    np.testing.assert_array_equal(again.clean, encoded.clean)  # fitted once, then kept


def test_a_stopped_run_goes_on_with_the_components_it_has(run, tmp_path, corpus, monkeypatch):
    class Died(BaseException):
        pass

    again = pipeline.start(
        tmp_path / "run", tiny_config(corpus, model=ENCODED, epochs=10, learning_rate=0.01)
    )
    with monkeypatch.context() as patch:
        real = again.write_epochs

        def dying(epochs):
            real(epochs)
            if len(epochs) == 2:
                raise Died

        patch.setattr(again, "write_epochs", dying)
        with pytest.raises(Died):
            pipeline.train(again, n_jobs=1)
    pipeline.train(again, n_jobs=1)
    for ours, theirs in zip(again.read_epochs(), run.read_epochs(), strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_damaged_components_say_what_to_do(run, tmp_path):
    shutil.copy(run.folder / "epochs.jsonl", tmp_path / "components.npz")
    with pytest.raises(RunError, match="Start a new run"):
        encoding.front_of(tmp_path, np.zeros((1, 300, 80), np.float32), 4)
