import json
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest

from ser.audio.log_mel import LogMelFeatures
from ser.data.feature_cache import compute_features
from ser.models.bundle import load_bundle
from ser.models.encoder import build_encoder, build_front
from ser.models.networks import ModelConfig
from ser.models.recognizer import Recognizer
from ser.training import encoding, pipeline
from ser.training.encoding import Encoder, encode
from ser.training.voice_fitting import Voices, known_by
from tests.tiny import tiny_config, tiny_corpus, tiny_run

ENCODED = ModelConfig(encoder=True, filters=(8, 8), lstm=4, summary=16)
LEARNING = {"model": ENCODED, "epochs": 4, "learning_rate": 0.01, "batch_size": 16}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("corpus") / "clips")


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpus):
    return tiny_run(tmp_path_factory.mktemp("encoded") / "run", corpus, fine_tuning=1, **LEARNING)


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
    assert "the first blocks of the encoder" in (run.folder / "MODEL_CARD.md").read_text()


def test_fine_tuning_changes_the_last_blocks_alone(run):
    model, _ = load_bundle(run.folder)
    original = {layer.name: layer for layer in build_encoder().layers if layer.weights}
    for name, layer in original.items():
        same = all(
            np.array_equal(ours, theirs)
            for ours, theirs in zip(model.get_layer(name).weights, layer.weights, strict=True)
        )
        assert same != name.startswith(("block_2", "block_3")), name
    epochs = run.read_epochs()
    assert [each["epoch"] for each in epochs] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(each["val_loss"]) for each in epochs)


def test_a_bundle_takes_half_the_space_and_loses_nothing(run):
    assert (run.folder / "model.keras").stat().st_size < 13_000_000
    with zipfile.ZipFile(run.folder / "model.keras") as archive:
        file = h5py.File(archive.open("model.weights.h5"))
    found = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    large = [item for item in found if item.size > 1_000]
    assert len(large) >= 30 and {item.dtype for item in large} == {np.dtype(np.float16)}


def test_clips_are_encoded_once(corpus, monkeypatch):
    """What the encoder makes of a clip is kept, and is what it makes of its log-mel."""
    clips = [str(clip) for clip in sorted(corpus.iterdir())[:5]]
    settings = {"copies": 1, "seed": 7, "n_jobs": 1}
    encoder = Encoder(build_front())
    steps = []
    first = encode(
        encoder, clips, backgrounds="", progress=lambda *step: steps.append(step), **settings
    )
    assert first["frames"].clean.shape == (5, 96, 50, 1)
    assert first["summary"].copies.shape == (5, 1, 2304)
    assert steps[-1][1:] == (5, 5)
    (log_mels,) = compute_features(clips, extractor=LogMelFeatures(), **settings).values()
    for name, made in encoder(log_mels).items():
        np.testing.assert_allclose(first[name].clean, made.clean, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(first[name].copies, made.copies)
    monkeypatch.setattr(encoding.Encoder, "__call__", None)
    again = encode(encoder, clips, backgrounds="", progress=print, **settings)
    for name, each in first.items():
        np.testing.assert_array_equal(again[name].clean, each.clean)
        np.testing.assert_array_equal(again[name].copies, each.copies)


def test_the_summary_is_mean_and_half_the_mean_deviation(corpus):
    clips = [str(clip) for clip in sorted(corpus.iterdir())[:3]]
    (log_mels,) = compute_features(clips, extractor=LogMelFeatures(), n_jobs=1).values()
    outputs = np.concatenate(build_encoder()(log_mels.clean)[1:], axis=2)
    _, summary = build_front()(log_mels.clean)
    mean = outputs.mean(axis=1)
    half = np.abs(outputs - mean[:, None]).mean(axis=1) / 2
    np.testing.assert_allclose(summary, np.concatenate([mean, half], axis=1), atol=1e-4)


@pytest.mark.no_cover
@pytest.mark.parametrize("epoch", [2, 5])
def test_a_stopped_run_goes_on_as_if_nothing_had_been(run, tmp_path, corpus, monkeypatch, epoch):
    class Died(BaseException):
        pass

    again = pipeline.start(tmp_path / "run", tiny_config(corpus, fine_tuning=1, **LEARNING))
    with monkeypatch.context() as patch:
        real = again.write_epochs

        def dying(epochs):
            real(epochs)
            if len(epochs) == epoch:
                raise Died

        patch.setattr(again, "write_epochs", dying)
        with pytest.raises(Died):
            pipeline.train(again, n_jobs=1)
    pipeline.train(again, n_jobs=1)
    # Not to the last bit: sums are taken in another order where other threads are busy.
    for ours, theirs in zip(again.read_epochs(), run.read_epochs(), strict=True):
        assert {**ours, "seconds": 0} == pytest.approx({**theirs, "seconds": 0}, rel=1e-4)


def clips_of(*speakers):
    """Return a table of clips: (corpus, speaker, emotions) of each speaker."""
    rows = [(c, s, e) for c, s, emotions in speakers for e in emotions]
    clips = pd.DataFrame(rows, columns=["corpus", "speaker", "emotion"])
    return clips.assign(channel="speech")


def test_balanced_draws_count_corpora_voices_and_emotions_alike():
    clips = clips_of(
        ("large", "a", ["sad"] * 90 + ["happy"] * 10),
        ("large", "b", ["sad"] * 10 + ["happy"] * 10),
        ("small", "c", ["angry"] * 4),
    )
    rng = np.random.default_rng(0)
    voices = Voices.of(clips, sounds=10, balanced=True)
    rows = np.concatenate([voices.draw(8, rng) for _ in range(400)])
    sounds = rows >= len(clips)
    assert sounds.mean() == 1 / 8 and all(each.all() or not each.any() for each in sounds)
    drawn = clips.iloc[rows[~sounds].ravel()]
    shares = drawn["corpus"].value_counts(normalize=True)
    assert shares.to_numpy() == pytest.approx(0.5, abs=0.05)
    assert all(len(set(clips.loc[own, "speaker"])) == 1 for own in rows[~sounds.any(axis=1)])
    of_a = drawn.loc[drawn["speaker"] == "a", "emotion"].value_counts(normalize=True)
    assert of_a["happy"] == pytest.approx(0.355, abs=0.05)  # ten are as rare as a hundred are not
    natural = Voices.of(clips, sounds=0, balanced=False)
    rows = np.concatenate([natural.draw(8, rng) for _ in range(400)])
    assert (rows < 100).mean() == pytest.approx(100 / 124, abs=0.03)


def test_a_clip_is_heard_against_others_of_its_voice_alone():
    clips = clips_of(("x", "a", ["sad", "happy"] * 20), ("x", "b", ["sad", "happy"] * 20))
    y_true = np.append(np.arange(80) % 2, np.full(20, -1))
    voices = Voices.of(clips, sounds=20, balanced=False)
    rng = np.random.default_rng(0)
    counts, one_emotion = [], 0
    for _ in range(50):
        rows = voices.draw(4, rng)
        weights = known_by(rows, y_true, 0.6, rng)
        flat = rows.ravel()
        for i, row in enumerate(weights):
            others = np.flatnonzero(row)
            counts.append(len(others))
            if len(others):
                assert row.sum() == pytest.approx(len(others) / (len(others) + 3))
                assert flat[i] not in flat[others]
                if y_true[flat[i]] >= 0:
                    assert set(others // 8) == {i // 8}
                    one_emotion += len(others) > 3 and len(set(y_true[flat[others]])) == 1
    assert np.mean(np.array(counts) == 0) == pytest.approx(0.4, abs=0.05)
    assert set(counts) == set(range(9)) and one_emotion > 20
