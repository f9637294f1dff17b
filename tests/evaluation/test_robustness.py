import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import audio
from ser.data import corpora
from ser.evaluation import robustness
from ser.evaluation.figures import Condition, as_table
from ser.models.recognizer import Recognizer
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[10]


@pytest.fixture(scope="module")
def samples():
    return audio.load_audio(CLIP)


def changed(name, samples):
    (condition,) = [c for c in robustness.CONDITIONS if c.label == name]
    crowd = np.zeros(len(samples), np.float32)
    return robustness.changed(condition, samples, np.random.default_rng(0), 16_000, crowd)


def measured(recognizer, clips):
    """The figures by the name of their condition."""
    rows = robustness.measure(recognizer, clips, n_jobs=1)
    return as_table(rows).assign(condition=[row.label for row in rows]).set_index("condition")


def snr(clean, noisy):
    start, end = audio.find_speech(clean)
    return audio.level_dbfs(clean[start:end]) - audio.level_dbfs(noisy - clean)


@pytest.mark.parametrize("db", [-30, -10, 10, 20])
def test_gain_changes_the_level_and_nothing_else(samples, db):
    louder = changed(f"gain {db:+} dB".replace("-", "−"), samples)
    assert audio.level_dbfs(louder) - audio.level_dbfs(samples) == pytest.approx(db, abs=0.02)
    np.testing.assert_allclose(
        audio.prepare_clip(louder).samples, audio.prepare_clip(samples).samples, atol=1e-4
    )


@pytest.mark.parametrize("db", [20, 10])
def test_noise_has_its_distance(samples, db):
    assert snr(samples, changed(f"white noise, {db} dB", samples)) == pytest.approx(db, abs=0.1)


@pytest.mark.parametrize("seconds", [0.3, 0.6])
def test_a_room_falls_by_sixty_decibels_in_its_time(seconds):
    impulse = np.zeros(16_000, np.float32)
    impulse[0] = 1.0
    tail = np.square(
        changed(f"room, RT60 {seconds} s", impulse)[80 : int(seconds * 16_000)], dtype=np.float64
    )
    decay = 10 * np.log10(np.cumsum(tail[::-1])[::-1])  # Schroeder 1965
    upper, lower = (int(np.argmax(decay < decay[0] - db)) for db in (5, 25))
    assert (lower - upper) / 16_000 * 3 == pytest.approx(seconds, rel=0.15)


def test_the_telephone_keeps_its_band(samples):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 64_000).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(changed("telephone, 8 kHz", noise))))
    frequency = np.fft.rfftfreq(64_000, 1 / 16_000)
    inside = power[(frequency > 500) & (frequency < 3000)].mean()
    assert power[frequency > 4200].mean() < 1e-4 * inside
    assert power[frequency < 100].mean() < 1e-2 * inside


def test_mp3_is_as_long_and_nearly_the_same(samples):
    coded = changed("MP3, 64 kbit/s", samples)
    assert len(coded) == len(samples)
    assert 5 < snr(samples, coded) < 60


@pytest.mark.parametrize("name", ["random offset", "silence around"])
def test_where_speech_stands_in_the_recording_does_not_change_the_clip(samples, name):
    moved = changed(name, samples)
    assert len(moved) > len(samples)
    clip, other = audio.prepare_clip(samples), audio.prepare_clip(moved)
    # Trimming works in steps of 512 samples.
    assert abs((other.end - other.start) - (clip.end - clip.start)) < 0.2


def test_people_babble_at_their_distance(samples):
    crowd = np.random.default_rng(1).normal(0, 0.2, len(samples)).astype(np.float32)
    condition = Condition(kind="babble", snr_db=10)
    noisy = robustness.changed(condition, samples, np.random.default_rng(0), 16_000, crowd)
    assert snr(samples, noisy) == pytest.approx(10, abs=0.1)
    assert np.corrcoef(noisy - samples, crowd)[0, 1] > 0.99


def test_a_condition_without_its_parameter_is_refused():
    with pytest.raises(ValueError, match="babble needs snr_db"):
        Condition(kind="babble")
    with pytest.raises(ValueError, match="mp3 has no gain_db"):
        Condition(kind="mp3", gain_db=3)


def test_every_condition_is_measured_and_level_costs_nothing(finished_run):
    recognizer = Recognizer.load(finished_run.folder)
    clips = corpora.scan(finished_run.read_config()["data"][0]).clips.iloc[::4]
    rows = measured(recognizer, clips)
    assert list(rows.index) == [condition.label for condition in robustness.CONDITIONS]
    assert rows.index[0] == "clean" and rows.index.is_unique
    assert (rows["n"] == len(clips)).all()
    answers = recognizer.predict_files(clips["path"].tolist(), n_jobs=1)["emotion"].to_numpy()
    assert rows.loc["clean", "accuracy"] == (answers == clips["emotion"].to_numpy()).mean()
    for db in ("−30", "+20"):
        assert rows.loc[f"gain {db} dB", "accuracy"] == rows.loc["clean", "accuracy"]


def test_a_clip_that_a_condition_silences_counts_as_wrong(finished_run, tmp_path):
    loud = audio.load_audio(CLIP)
    quiet = loud / np.abs(loud).max() * 4e-4
    for name, samples in (("quiet", quiet), ("loud", loud)):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    clips = pd.DataFrame(
        {"path": [str(tmp_path / f"{n}.wav") for n in ("quiet", "loud")], "emotion": "sad"}
    )
    recognizer = Recognizer.load(finished_run.folder)
    rows = measured(recognizer, clips)
    assert rows.loc["gain −30 dB", "uncertain"] >= 0.5
    assert rows.loc["gain −30 dB", "accuracy"] <= 0.5
    assert rows.loc["gain +10 dB", "accuracy"] == rows.loc["clean", "accuracy"]


def test_nobody_babbles_behind_himself(finished_run, monkeypatch):
    seen = []

    def watch(one, items, *rest, **more):
        seen.extend(items)
        raise KeyboardInterrupt

    monkeypatch.setattr(robustness, "map_items", watch)
    clips = corpora.scan(finished_run.read_config()["data"][0]).clips
    with pytest.raises(KeyboardInterrupt):
        robustness.measure(Recognizer.load(finished_run.folder), clips)
    assert len(seen) == len(clips)
    assert all(path not in talkers and len(set(talkers)) == 6 for path, talkers, _ in seen)


def test_silence_gets_no_answer(finished_run):
    rows = robustness.measure_rejection(Recognizer.load(finished_run.folder))
    silence = next(row for row in rows if row.kind == "digital silence")
    assert silence.model_dump() == {
        "kind": "digital silence", "like_training": True, "n": 6, "sure": 0, "confidence": None,
    }  # fmt: skip
    assert all(0 <= row.sure <= row.n for row in rows)
