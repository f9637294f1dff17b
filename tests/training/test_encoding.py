import json
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from ser import audio
from ser.assets import RAVDESS_MODEL
from ser.audio.log_mel import LogMelFeatures
from ser.data.feature_cache import compute_features
from ser.data.inspection import inspect_corpus
from ser.data.splits import draw_others
from ser.errors import BundleError, DataError
from ser.evaluation.evaluate import evaluate_corpus
from ser.evaluation.metrics import confidence_for, fit_temperature
from ser.evaluation.report import Report
from ser.labels import EMOTIONS
from ser.models.bundle import load_bundle
from ser.models.embedding import ood_temperature, write_embedding
from ser.models.encoder import build_encoder, build_front
from ser.models.inference import softmax
from ser.models.networks import ModelConfig
from ser.models.recognizer import Recognizer
from ser.models.streaming import StreamingRecognizer
from ser.models.voice import ENOUGH, Voice
from ser.training import encoding, pipeline
from ser.training.cross_validation import cross_validate
from ser.training.encoder_recipe import partial_targets
from ser.training.encoding import Encoder, encode
from ser.training.examples import Examples
from ser.training.voice_fitting import Voices, known_by
from ser.utils.files import sha256_of
from tests.tiny import SAMPLES, tiny_config, tiny_corpus, tiny_run

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
        clips,
        encoder=encoder,
        backgrounds="",
        progress=lambda *step: steps.append(step),
        **settings,
    )
    assert first["frames"].clean.shape == (5, 96, 50, 1)
    assert first["summary"].copies.shape == (5, 1, 2304)
    assert steps[-1][1:] == (5, 5)
    (log_mels,) = compute_features(clips, extractor=LogMelFeatures(), **settings).values()
    for name, made in encoder(log_mels).items():
        np.testing.assert_allclose(first[name].clean, made.clean, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(first[name].copies, made.copies)
    monkeypatch.setattr(encoding.Encoder, "__call__", None)
    again = encode(clips, encoder=encoder, backgrounds="", progress=print, **settings)
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
def test_a_stopped_run_goes_on_as_if_nothing_had_been(run, tmp_path, corpus, monkeypatch):
    """Stopped while the encoder was learning: what reads it was trained before and stays."""

    class Died(BaseException):
        pass

    again = pipeline.start(tmp_path / "run", tiny_config(corpus, fine_tuning=1, **LEARNING))
    with monkeypatch.context() as patch:
        real = again.write_epochs

        def dying(epochs):
            real(epochs)
            if len(epochs) == 5:
                raise Died

        patch.setattr(again, "write_epochs", dying)
        with pytest.raises(Died):
            pipeline.train(again, n_jobs=1)
    pipeline.train(again, n_jobs=1)
    # Not to the last bit: sums are taken in another order where other threads are busy.
    for ours, theirs in zip(again.read_epochs(), run.read_epochs(), strict=True):
        assert {**ours, "seconds": 0} == pytest.approx({**theirs, "seconds": 0}, rel=1e-4)


@pytest.fixture(scope="module")
def recognizer(run):
    return Recognizer.load(run.folder)


def probabilities_of(table):
    return table[list(EMOTIONS)].to_numpy(float)


def test_files_of_one_voice_are_each_heard_against_the_others(recognizer, corpus):
    clips = sorted(corpus.iterdir())[:4]
    together = recognizer.predict_files(clips, same_voice=True, n_jobs=1)
    for i, clip in enumerate(clips):
        others = recognizer.listen([c for c in clips if c != clip], n_jobs=1)
        assert others.count == 3
        alone = recognizer.knowing(others).predict(clip)
        np.testing.assert_allclose(
            probabilities_of(alone)[0], probabilities_of(together)[i], atol=1e-4
        )
    plain = recognizer.predict_files(clips, n_jobs=1)
    assert np.abs(probabilities_of(plain) - probabilities_of(together)).max() > 1e-3
    chosen = [np.array([1, 2]), np.array([0]), np.array([], int), np.array([3])]
    bad = corpus.parent / "bad.wav"
    bad.write_bytes(b"no sound")
    mixed = recognizer.predict_files(
        [clips[0], clips[1], clips[2], bad], known_by=[*chosen[:2], np.array([3]), chosen[3]],
        n_jobs=1,
    )  # fmt: skip
    np.testing.assert_allclose(  # a file that cannot be used tells nothing of a voice
        probabilities_of(mixed)[2], probabilities_of(plain)[2], atol=1e-5
    )
    assert mixed["verdict"].iloc[3] == "refused"


def test_a_recording_of_one_voice_is_heard_against_itself(recognizer, corpus):
    clips = [audio.load_audio(clip) for clip in sorted(corpus.iterdir())[:6]]
    samples = np.concatenate(clips)
    plain = recognizer.timeline(samples, sampling_rate=16_000)
    used = recognizer.timeline(samples, sampling_rate=16_000, same_voice=True)
    assert used[["start", "end"]].equals(plain[["start", "end"]])
    assert np.abs(probabilities_of(used) - probabilities_of(plain)).max() > 1e-3


def test_a_listener_gets_used_to_a_voice_and_forgets_it(recognizer, corpus):
    stream = StreamingRecognizer(recognizer)
    assert stream.listens and stream.listened == 0
    for clip in sorted(corpus.iterdir())[:6]:
        stream.push(audio.load_audio(clip)[None], 16_000)
    stream.finish()
    assert 1 <= stream.listened <= 6
    stream.forget()
    assert stream.listened == 0


def test_an_adapted_model_keeps_the_voice(recognizer, corpus, tmp_path):
    labels = {
        str(clip): EMOTIONS[int(clip.stem.split("-")[2]) - 1] for clip in sorted(corpus.iterdir())
    }
    adapted = recognizer.adapt(labels, n_jobs=1)
    assert adapted.voice.count == len(labels)
    adapted.save(tmp_path / "mine")
    again = Recognizer.load(tmp_path / "mine")
    clip = next(iter(labels))
    np.testing.assert_allclose(
        probabilities_of(again.predict(clip)), probabilities_of(adapted.predict(clip)), atol=1e-5
    )
    found = again.predict_files(list(labels), n_jobs=1)
    assert (found["emotion"] == list(labels.values())).mean() > 0.8
    # It listens to nobody else, or what it has learned would be forgotten.
    with pytest.raises(DataError, match="knows the voice"):
        again.predict_files(list(labels), same_voice=True, n_jobs=1)
    stream = StreamingRecognizer(again)
    samples = audio.load_audio(clip)[:48_000]
    stream.push(samples[None], 16_000)
    stream.finish()
    direct = again.predict(samples, sampling_rate=16_000)
    np.testing.assert_allclose(
        probabilities_of(stream.answers()), probabilities_of(direct), atol=1e-5
    )
    nobody = again.knowing(Voice()).predict(clip)
    assert np.abs(probabilities_of(nobody) - probabilities_of(again.predict(clip))).max() > 1e-4


def test_a_voice_that_is_not_the_models_is_refused(run, recognizer, tmp_path):
    strange = Voice(2, {"frames": np.zeros((5, 1, 1), np.float32)})
    recognizer.save(tmp_path / "strange")
    write_embedding(
        tmp_path / "strange" / "embedding.npz", replace(recognizer.embedding, voice=strange)
    )
    file = tmp_path / "strange" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["embedding"]["sha256"] = sha256_of(tmp_path / "strange" / "embedding.npz")
    file.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not one that its model can know"):
        Recognizer.load(tmp_path / "strange")


def test_what_an_encoder_hears_is_explained(recognizer, corpus):
    clip = sorted(corpus.iterdir())[0]
    why = recognizer.explain(clip)
    assert why.emotion in EMOTIONS and 0 < why.probability <= 1
    assert len(why.rows) == 20 and why.rows["name"].iloc[-1].endswith("7700 Hz")
    # In seconds of the recording, and only where the clip is no padding.
    speech = audio.prepare_clip(audio.load_audio(clip))
    assert why.time["start"].min() == pytest.approx(speech.start)
    assert why.time["end"].max() == pytest.approx(speech.end)
    assert why.time["effect"].abs().max() > 0


def test_evaluation_can_listen_first(recognizer, corpus):
    report = evaluate_corpus(recognizer, corpus, protocol="all", listen=3, n_jobs=1)
    assert "after 3 unlabelled clips of each voice" in report.title
    plain = evaluate_corpus(recognizer, corpus, protocol="all", n_jobs=1)
    assert not np.allclose(
        probabilities_of(report.predictions), probabilities_of(plain.predictions), atol=1e-3
    )
    clips = inspect_corpus(corpus, n_jobs=1).clips
    chosen = draw_others(clips, 3, seed=0)
    for row, others in enumerate(chosen):
        assert len(others) == 3 and row not in others
        assert set(clips["speaker"].iloc[others]) == {clips["speaker"].iloc[row]}
    with pytest.raises(DataError, match="1 or more"):
        draw_others(clips, -3, seed=0)
    with pytest.raises(DataError, match="Add a column speaker"):
        draw_others(clips.assign(speaker=""), 3, seed=0)


def test_a_cross_validation_can_listen_first(corpus, tmp_path):
    shorter = LEARNING | {"epochs": 1}
    config = tiny_config(corpus, protocol="unseen-speakers", folds=2, **shorter)
    study = tmp_path / "study"
    plain = cross_validate(study, config, n_jobs=1)
    heard = cross_validate(study, config, resume=True, listen=3, n_jobs=1)
    assert "after 3 unlabelled clips of each voice" in heard.title
    assert heard.predictions["file"].tolist() == plain.predictions["file"].tolist()
    assert not np.allclose(
        probabilities_of(heard.predictions), probabilities_of(plain.predictions), atol=1e-3
    )
    assert Report.load(study / "report.json") == plain
    assert Report.load(study / "report-after-3.json") == heard


def test_a_model_without_an_encoder_does_not_listen(corpus):
    model = Recognizer.load(RAVDESS_MODEL)
    assert not model.listens
    with pytest.raises(DataError, match="by itself"):
        model.predict_files(sorted(corpus.iterdir())[:2], same_voice=True, n_jobs=1)


@pytest.fixture(scope="module")
def three_corpora(tmp_path_factory):
    """Return three CSV files, each a corpus of a third of the speakers of the samples."""
    folder = tmp_path_factory.mktemp("corpora")
    rows = [
        {"path": str(clip), "emotion": EMOTIONS[int(clip.stem.split("-")[2]) - 1], "speaker": actor}
        for clip in sorted(SAMPLES.rglob("*.flac"))
        if (actor := clip.parent.name) and int(clip.stem.split("-")[2]) in (1, 2, 5)
    ]
    clips = pd.DataFrame(rows)
    speakers = sorted(clips["speaker"].unique())
    files = []
    for i, name in enumerate(("one", "two", "three")):
        own = clips[clips["speaker"].isin(speakers[i::3])]
        if name == "three":
            own = own[own["emotion"] != "neutral"]
        own.to_csv(folder / f"{name}.csv", index=False)
        files.append(str(folder / f"{name}.csv"))
    return tuple(files)


def test_how_sure_answers_may_be_is_found_on_corpora_left_out(three_corpora, tmp_path):
    run = tiny_run(tmp_path / "run", three_corpora, **LEARNING)
    with np.load(run.folder / "calibration.npz") as kept:
        answers = dict(kept)
    assert set(answers["corpus"]) == {"one", "two", "three"}
    doubt = ood_temperature(answers["distances"])[:, None]
    voices = pd.Series(answers["speaker"])
    weights = 1 / voices.groupby(voices).transform("size").to_numpy()
    manifest = Recognizer.load(run.folder).manifest
    new, known = (
        fit_temperature(answers[name] / doubt, answers["y_true"], weights)
        for name in ("logits", "of_known")
    )
    assert manifest.temperature == pytest.approx(new)
    assert manifest.voice_temperature == pytest.approx(known / new)
    recognizer = Recognizer.load(run.folder)
    for count, name, temperature in ((0, "logits", new), (ENOUGH, "of_known", known)):
        probabilities = softmax(answers[name] / doubt / temperature)
        least = confidence_for(probabilities, answers["y_true"], 0.7, weights)
        assert recognizer.bounds(count) == pytest.approx(least)
    assert not list(run.folder.glob("checkpoint*")), "nothing is left once it is finished"


def test_who_was_never_asked_for_neutral_speech_may_call_it_calm(three_corpora):
    clips = inspect_corpus(three_corpora, n_jobs=1).clips
    examples = Examples.of(clips, {})
    targets = partial_targets(examples, np.eye(8, dtype=np.float32)[examples.y_true])
    calm = (clips["emotion"] == "calm").to_numpy()
    either = targets[:, EMOTIONS.index("neutral")] + targets[:, EMOTIONS.index("calm")] == 2
    assert (either == calm & (clips["corpus"] == "three").to_numpy()).all() and either.any()
    assert (targets.argmax(axis=1)[~either] == examples.y_true[~either]).all()


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
