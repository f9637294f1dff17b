import numpy as np
import pytest
import soundfile
import soxr

from ser import audio
from ser.assets import DEFAULT_MODEL
from ser.audio.features import SPECTRAL
from ser.errors import DataError
from ser.labels import EMOTIONS
from ser.models.bundle import load_bundle
from ser.models.inference import softmax
from ser.models.recognizer import REFUSED, Recognizer
from tests.tiny import SAMPLES

COLUMNS = ["file", "start", "end", "emotion", "verdict", "reason", "distance", *EMOTIONS]
CLIPS = sorted(SAMPLES.rglob("*.flac"))


@pytest.fixture(scope="module")
def recognizer(finished_run):
    return Recognizer.load(finished_run.folder)


def speech(*parts):
    """Join sample clips (numbers) and pauses (seconds as floats)."""
    return np.concatenate(
        [
            audio.load_audio(CLIPS[p])
            if isinstance(p, int)
            else np.zeros(int(16_000 * p), np.float32)
            for p in parts
        ]
    )


def test_one_clip_gets_one_row_of_probabilities(recognizer):
    table = recognizer.predict(CLIPS[0])
    assert list(table.columns) == COLUMNS
    row = table.iloc[0]
    assert row["file"] == str(CLIPS[0])
    assert 0 < row["start"] < row["end"] < 3.5
    assert row[list(EMOTIONS)].sum() == pytest.approx(1)
    assert row["emotion"] == max(EMOTIONS, key=lambda label: row[label])


def test_emotions_that_cannot_occur_are_left_out_before_the_softmax(recognizer):
    whole = recognizer.predict(CLIPS[0]).iloc[0]
    possible = recognizer.among(["sad", "angry", "neutral"])
    row = possible.predict(CLIPS[0]).iloc[0]
    kept = ["neutral", "sad", "angry"]  # in the model's order
    assert possible.labels == tuple(kept) and list(row.index[-3:]) == kept
    expected = whole[kept].astype(float) / whole[kept].sum()
    np.testing.assert_allclose(row[kept].astype(float), expected, atol=1e-6)
    assert row["emotion"] in kept
    assert set(possible.explain(CLIPS[0]).emotion.split()) <= set(kept)
    table = possible.predict_files([CLIPS[0], __file__])
    assert table["verdict"].iloc[1] == REFUSED and list(table.columns[-3:]) == kept


def test_of_two_emotions_the_likelier_is_not_sure_for_being_the_likelier(recognizer):
    two = recognizer.among(["sad", "angry"])
    limit = recognizer.manifest.min_confidence
    assert two.manifest.min_confidence == pytest.approx(0.5 + (limit - 1 / 8) / (7 / 8) * 0.5)
    barely, clearly = two.verdicts(np.array([[0.5, 0.5], [0.001, 0.999]]))
    assert (barely, clearly) == ("uncertain", "sure")
    assert two.among(["angry", "sad"]).labels == ("sad", "angry")


@pytest.mark.parametrize(
    ("emotions", "words"),
    [(["sad", "envy"], "no label for: envy"), (["sad", "sad"], "two or more")],
)
def test_impossible_emotions_are_refused(recognizer, emotions, words):
    with pytest.raises(DataError, match=words):
        recognizer.among(emotions)


def test_a_model_that_is_asked_about_some_emotions_is_not_kept(recognizer, tmp_path):
    with pytest.raises(DataError, match="the one that knows all"):
        recognizer.among(["sad", "angry"]).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_answer_is_that_of_the_model_at_its_temperature(recognizer, finished_run):
    model, manifest = load_bundle(finished_run.folder)
    clip = audio.prepare_clip(audio.load_audio(CLIPS[3]))
    inputs = SPECTRAL.extract(clip.samples)["features"]
    # The mean over the clip as it is and moved a little to both sides.
    logits = [np.asarray(model(np.roll(inputs, by, axis=1)[None])) for by in (-4, -2, 0, 2, 4)]
    far = max(recognizer.predict(CLIPS[3])["distance"].iloc[0], 1.0)
    expected = softmax(np.mean(logits, axis=0) / manifest.temperature / far**5)[0]
    answer = recognizer.predict(CLIPS[3]).iloc[0][list(EMOTIONS)].to_numpy(float)
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_path_and_bytes_give_the_same_answer(recognizer):
    labels = list(EMOTIONS)
    from_path = recognizer.predict(CLIPS[0])
    from_bytes = recognizer.predict(CLIPS[0].read_bytes(), name="upload.flac")
    assert from_bytes["file"].iloc[0] == "upload.flac"
    np.testing.assert_array_equal(from_path[labels], from_bytes[labels])


def test_the_answer_does_not_depend_on_the_level(recognizer, tmp_path):
    labels = list(EMOTIONS)
    samples = audio.load_audio(CLIPS[5])
    answers = []
    for gain in (0.05, 1.0, 3.0):
        soundfile.write(tmp_path / "clip.wav", samples * gain, 16_000, subtype="FLOAT")
        answers.append(recognizer.predict(tmp_path / "clip.wav")[labels].to_numpy())
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)
    np.testing.assert_allclose(answers[2], answers[1], atol=1e-3)


def test_many_clips_get_the_answers_they_get_alone(recognizer):
    labels = list(EMOTIONS)
    table = recognizer.predict_files(CLIPS[:5], n_jobs=1)
    assert REFUSED not in set(table["verdict"])
    assert table["file"].tolist() == [str(clip) for clip in CLIPS[:5]]
    alone = np.concatenate([recognizer.predict(clip)[labels].to_numpy() for clip in CLIPS[:5]])
    np.testing.assert_allclose(table[labels], alone, atol=1e-5)


def test_a_bad_clip_does_not_cost_the_others_their_answers(recognizer, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    files = [CLIPS[0], tmp_path / "bad.wav", CLIPS[1]]
    table = recognizer.predict_files(files, n_jobs=1)
    assert table["file"].tolist() == [str(file) for file in files]
    assert (table["verdict"] == REFUSED).tolist() == [False, True, False]
    bad = table.iloc[1]
    assert "bad.wav" in bad["reason"] and bad["emotion"] is None
    assert bad[["start", "end", "distance", *EMOTIONS]].isna().all()
    np.testing.assert_allclose(
        table[list(EMOTIONS)].iloc[2].astype(float),
        recognizer.predict(CLIPS[1])[list(EMOTIONS)].iloc[0].astype(float),
        atol=1e-5,
    )


def test_nothing_but_bad_clips_gives_a_table_all_the_same(recognizer, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    table = recognizer.predict_files([tmp_path / "bad.wav"], n_jobs=1)
    assert list(table.columns) == COLUMNS
    assert table["verdict"].tolist() == [REFUSED]
    assert list(recognizer.predict_files([]).columns) == COLUMNS


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_samples_are_answered_as_the_file_they_came_from(recognizer, rate, tmp_path):
    labels = list(EMOTIONS)
    samples = soxr.resample(audio.load_audio(CLIPS[7]), 16_000, rate)
    stereo = np.stack([samples, samples])
    soundfile.write(tmp_path / "clip.wav", stereo.T, rate, subtype="FLOAT")
    expected = recognizer.predict(tmp_path / "clip.wav")
    for given in (samples, stereo, stereo.astype(np.float64)):
        found = recognizer.predict(given, sampling_rate=rate)
        assert found["file"].iloc[0] == "recording"
        np.testing.assert_allclose(found[labels], expected[labels], atol=1e-4)
    with (tmp_path / "clip.wav").open("rb") as file:
        np.testing.assert_array_equal(recognizer.predict(file)[labels], expected[labels])


def test_samples_need_their_rate(recognizer):
    samples = audio.load_audio(CLIPS[0])
    with pytest.raises(TypeError, match="sampling_rate=44_100"):
        recognizer.predict(samples)
    with pytest.raises(TypeError, match="a file says its rate itself"):
        recognizer.predict(CLIPS[0], sampling_rate=16_000)
    with pytest.raises(TypeError, match="positive number of Hz, not -1"):
        recognizer.predict(samples, sampling_rate=-1)
    with pytest.raises(TypeError, match="positive number of Hz, not inf"):
        recognizer.predict(samples, sampling_rate=np.inf)
    with pytest.raises(audio.UnsupportedAudioError, match="4000 to 400000 Hz"):
        recognizer.predict(samples, sampling_rate=10**9)
    with pytest.raises(TypeError, match="divide 16-bit integers by 32768"):
        recognizer.predict((samples * 32767).astype(np.int16), sampling_rate=16_000)
    with pytest.raises(ValueError, match=r"\(n,\) or \(channels, n\), not \(48000, 2\)"):
        recognizer.predict(np.zeros((48_000, 2), np.float32), sampling_rate=16_000)
    with pytest.raises(audio.NotFiniteAudioError):
        recognizer.predict(np.full(48_000, np.nan, np.float32), sampling_rate=16_000)
    with pytest.raises(audio.TooShortAudioError):
        recognizer.predict(samples[:800], sampling_rate=16_000)
    with pytest.raises(audio.EmptyAudioError):
        recognizer.predict(samples[:0], sampling_rate=16_000)


def test_a_timeline_covers_a_long_recording_in_overlapping_windows(recognizer, tmp_path):
    soundfile.write(tmp_path / "long.wav", speech(0, 8, 16), 16_000)
    seconds = soundfile.info(tmp_path / "long.wav").duration
    table = recognizer.timeline(tmp_path / "long.wav")
    np.testing.assert_allclose(table["end"] - table["start"], 3.0)
    np.testing.assert_allclose(np.diff(table["start"])[:-1], 1.0)
    assert table["start"].iloc[0] == 0
    assert table["end"].iloc[-1] == pytest.approx(seconds)
    np.testing.assert_allclose(table[list(EMOTIONS)].sum(axis=1), 1)


def test_pauses_of_a_timeline_have_no_emotion(recognizer, tmp_path):
    soundfile.write(tmp_path / "pause.wav", speech(0, 8.0, 8), 16_000)
    table = recognizer.timeline(tmp_path / "pause.wav")
    pause = (table["start"] > 3.2) & (table["end"] < 10.5)
    assert pause.sum() >= 3
    assert table.loc[pause, "emotion"].isna().all()
    assert (table.loc[pause, "verdict"] == "no speech").all()
    assert table.loc[pause, list(EMOTIONS)].isna().all(axis=None)
    assert table["emotion"].iloc[0] in EMOTIONS
    assert table["emotion"].iloc[-1] in EMOTIONS


@pytest.mark.parametrize("offset", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_neither_an_offset_nor_a_silent_pause_disturbs_a_timeline(recognizer, offset, gain):
    recording = (gain * speech(0, 8.0, 8) + offset).astype(np.float32)
    table = recognizer.timeline(recording, sampling_rate=16_000)
    expected = recognizer.timeline(speech(0, 8.0, 8), sampling_rate=16_000)
    assert table["verdict"].tolist() == expected["verdict"].tolist()


def test_files_that_cannot_be_used_are_refused_whatever_is_known_of_the_voice(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    listening = Recognizer.load(DEFAULT_MODEL)
    nobody = [np.zeros(0, np.int64)]
    table = listening.predict_files([tmp_path / "empty.wav"], known_by=nobody, n_jobs=1)
    assert table["verdict"].tolist() == [REFUSED]


def test_a_short_recording_has_a_timeline_of_one_window(recognizer):
    table = recognizer.timeline(CLIPS[0].read_bytes())
    assert len(table) == 1
    assert table["start"].iloc[0] == 0


def test_silence_is_refused(recognizer, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(48_000, np.float32), 16_000)
    with pytest.raises(audio.SilentAudioError):
        recognizer.predict(tmp_path / "silence.wav")
    with pytest.raises(audio.SilentAudioError):
        recognizer.timeline(tmp_path / "silence.wav")


def test_an_answer_below_the_least_confidence_is_uncertain_and_says_why(recognizer, finished_run):
    shy = Recognizer.load(finished_run.folder)
    confidence = recognizer.predict(CLIPS[0])[list(EMOTIONS)].max(axis=1).iloc[0]
    for least, verdict in ((confidence - 0.01, "sure"), (confidence + 0.01, "uncertain")):
        shy.manifest = recognizer.manifest.model_copy(update={"min_confidence": least})
        row = shy.predict(CLIPS[0]).iloc[0]
        assert row["verdict"] == verdict
        assert row["emotion"] == recognizer.predict(CLIPS[0])["emotion"].iloc[0]
    assert f"{row['emotion']} is likeliest with {confidence:.1%}" in row["reason"]


def test_what_is_unlike_training_is_less_sure_and_said_to_be(recognizer, finished_run, tmp_path):
    heard = recognizer.predict(CLIPS[0]).iloc[0]
    noise = np.random.default_rng(0).normal(size=48_000) * np.sin(np.arange(48_000) / 4000)
    soundfile.write(tmp_path / "noise.wav", (0.1 * noise).astype(np.float32), 16_000)
    strange = recognizer.predict(tmp_path / "noise.wav").iloc[0]
    assert heard["distance"] < 1 < strange["distance"]
    clip = audio.prepare_clip(audio.load_audio(tmp_path / "noise.wav"))
    inputs = SPECTRAL.batch([SPECTRAL.extract(clip.samples)])
    logits, embeddings = recognizer.logits_and_embeddings(inputs)
    alone = softmax(logits / recognizer.manifest.temperature).max()
    assert strange[list(EMOTIONS)].max() < alone
    np.testing.assert_allclose(strange["distance"], recognizer.embedding.distances(embeddings))
    shy = Recognizer.load(finished_run.folder)
    shy.manifest = shy.manifest.model_copy(update={"min_confidence": 0.99})
    reason = "unlike anything this model was trained on"
    assert reason in shy.predict(tmp_path / "noise.wav")["reason"].iloc[0]
    assert reason not in shy.predict(CLIPS[0])["reason"].iloc[0]


def test_speech_is_not_called_strange_because_few_emotions_are_possible():
    few = Recognizer.load(DEFAULT_MODEL).among(["happy", "fearful"])
    found = few.predict_files(CLIPS[:30], n_jobs=1)
    near = found[(found["verdict"] == "uncertain") & (found["distance"] <= 1)]
    confident = near[near[list(few.labels)].max(axis=1) > 0.55]
    assert len(confident) > 3
    assert not confident["reason"].str.contains("unlike anything").any()


def test_a_recording_without_anything_to_hear_is_silent_however_it_is_asked_about():
    drift = np.repeat(np.float32([0, 1, 2]) / 32768, 160_000)
    model = Recognizer.load(DEFAULT_MODEL)
    for more in ({}, {"same_voice": True}, {"progress": print}):
        with pytest.raises(audio.SilentAudioError, match="as good as silent"):
            model.timeline(drift, sampling_rate=16_000, **more)


@pytest.mark.parametrize("hop", [0.0, -1.0, float("nan"), float("inf")])
def test_windows_go_forward(recognizer, hop):
    with pytest.raises(DataError, match="Use a number above 0"):
        recognizer.timeline(np.ones(48_000, np.float32), sampling_rate=16_000, hop=hop)


def test_nobody_is_got_to_know_from_no_recording():
    with pytest.raises(DataError, match="No recording of the voice"):
        Recognizer.load(DEFAULT_MODEL).listen([])


def test_softmax_is_stable_for_large_logits():
    np.testing.assert_allclose(
        softmax(np.array([[1000.0, 1000.0], [-1000.0, 0.0]])), [[0.5, 0.5], [0, 1]]
    )
