import numpy as np
import pytest

from ser import audio
from ser.audio.features import SPECTRAL
from ser.models.explanation import explain
from ser.models.recognizer import Recognizer
from tests.tiny import SAMPLES

CLIPS = sorted(SAMPLES.rglob("*.flac"))


@pytest.fixture(scope="module")
def recognizer(finished_run):
    return Recognizer.load(finished_run.folder)


def test_it_explains_the_answer_that_is_given(recognizer):
    why = explain(recognizer, audio.load_audio(CLIPS[0]))
    answer = recognizer.predict(CLIPS[0]).iloc[0]
    assert why.emotion == answer["emotion"]
    assert why.probability == pytest.approx(answer[why.emotion])


def test_every_moment_and_every_row_is_hidden_once(recognizer):
    why = explain(recognizer, audio.load_audio(CLIPS[0]))
    heard = audio.prepare_clip(audio.load_audio(CLIPS[0]))
    assert why.time["start"].iloc[0] == pytest.approx(heard.start), "on the recording's own time"
    assert why.time["end"].iloc[-1] == pytest.approx(heard.end)
    assert (why.time["end"].to_numpy()[:-1] >= why.time["start"].to_numpy()[1:]).all(), "a gap"
    assert len(why.rows) == 64
    assert set(why.rows["name"]) >= {"mel band 1, 91 Hz", "mel band 32, 7280 Hz", "MFCC 1"}
    assert np.isfinite(why.rows["hertz"]).sum() == 32, "of mel bands only"
    assert np.isfinite(why.time["effect"]).all() and np.isfinite(why.rows["effect"]).all()


def test_a_model_that_looks_at_one_place_is_explained_by_it(recognizer, finished_run):
    """Here all evidence for angry is the second MFCC between 1 and 2 s."""
    looking = Recognizer.load(finished_run.folder)
    angry = looking.labels.index("angry")

    def logits(inputs):
        inputs = inputs["features"]
        result = np.zeros((len(inputs), 8), np.float32)
        evidence = np.abs(inputs[:, 1, 31:62, 1] - looking.feature_means[1, 0, 1]).mean(axis=1)
        result[:, angry] = 1 + 0.01 * evidence
        return result

    activations = looking.embedding.mean
    looking._network.answer = lambda inputs: (
        logits(inputs),
        np.tile(activations, (len(inputs["features"]), 1)),
    )
    why = explain(looking, audio.load_audio(CLIPS[0]))
    assert why.emotion == "angry"
    rows = why.rows.set_index("name")["effect"]
    assert rows.idxmax() == "MFCC 2"
    assert np.abs(rows.drop("MFCC 2")).max() == 0
    heard = audio.prepare_clip(audio.load_audio(CLIPS[0]))
    moved = heard.start - (3 - (heard.end - heard.start)) / 2
    outside = (why.time["end"] < 0.99 + moved) | (why.time["start"] > 2.01 + moved)
    assert np.abs(why.time.loc[outside, "effect"]).max() < 1e-6
    assert why.time.loc[~outside, "effect"].max() > 0


def test_an_effect_is_by_how_much_the_answers_own_odds_fall(recognizer):
    """Also of a sound far out of distribution, of which the answer is less sure."""
    t = np.arange(48_000) / 16_000
    sound = (0.3 * np.sign(np.sin(2 * np.pi * 440 * t))).astype(np.float32)
    why = explain(recognizer, sound)
    answer = recognizer.predict(sound, sampling_rate=16_000).iloc[0]
    assert answer["distance"] > 1
    inputs = recognizer.extractor.extract(audio.prepare_clip(sound).samples)["features"]
    (row,) = why.rows.index[why.rows["name"] == "MFCC 1"]
    hidden = inputs.copy()
    hidden[row - 32, :, 1] = recognizer.feature_means[row - 32, 0, 1]
    logits = recognizer.logits({"features": np.array([inputs, hidden])})
    divisor = np.log(answer[list(recognizer.labels)].to_numpy(float))
    scale = np.ptp(logits[0]) / np.ptp(divisor)
    odds = [
        logits[i, recognizer.labels.index(why.emotion)] / scale
        - np.log(np.exp(np.delete(logits[i] / scale, recognizer.labels.index(why.emotion))).sum())
        for i in (0, 1)
    ]
    assert why.rows["effect"][row] == pytest.approx(odds[0] - odds[1], abs=1e-4)


def test_silence_is_refused(recognizer):
    with pytest.raises(audio.SilentAudioError):
        explain(recognizer, np.zeros(48_000, np.float32))


def test_what_is_hidden_becomes_the_mean_of_the_training_clips(recognizer, finished_run):
    import json

    split = json.loads((finished_run.folder / "split.json").read_text())
    folder = finished_run.read_config()["data"][0]
    inputs = [SPECTRAL(audio.load_audio(f"{folder}/{name}"))["features"] for name in split["train"]]
    # Non-speech has a share of an eighth in it.
    distance = np.abs(recognizer.feature_means[:, 0] - np.mean(inputs, axis=(0, 2)))
    assert (distance < np.std(inputs, axis=(0, 2))).all()
