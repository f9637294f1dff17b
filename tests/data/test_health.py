import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.audio import measure_signal
from ser.data.health import check_health, near_duplicates
from ser.data.inspection import inspect_corpus


@pytest.fixture(scope="module")
def clips(samples):
    return inspect_corpus(samples, n_jobs=1).clips


def findings(clips):
    return {finding.check: finding for finding in check_health(clips)}


def test_a_tidy_corpus_needs_no_look_but_where_it_does(clips):
    found = findings(clips)
    assert not found["Clips per speaker"].problem
    assert found["Clips per speaker"].sentence == "30 each."
    assert found["Level per speaker"].sentence == "Medians: −29 to −28 dBFS."
    assert found["Emotions per speaker"].sentence == "Every speaker has every emotion."
    assert not found["Duplicates"].problem and not found["Clipping"].problem


def test_what_is_wrong_is_found(clips):
    one = clips["speaker"].iloc[0]
    lacking = clips[(clips["speaker"] != one) | (clips["emotion"] == "sad")]
    found = findings(lacking)
    assert (
        found["Clips per speaker"].problem
        and "fewer than 10" in found["Clips per speaker"].sentence
    )
    assert found["Emotions per speaker"].problem and one in found["Emotions per speaker"].sentence
    twice = pd.concat([clips, clips.head(4).assign(emotion="angry")], ignore_index=True)
    duplicates = findings(twice)["Duplicates"]
    assert duplicates.problem and "4 recordings have two different labels" in duplicates.sentence
    assert findings(clips.assign(speaker=""))["Speakers"].problem
    loud = clips.assign(level_dbfs=clips["level_dbfs"] + 30 * (clips["speaker"] == one))
    assert findings(loud)["Level per speaker"].problem
    rare = pd.concat([clips[clips["emotion"] != "sad"], clips[clips["emotion"] == "sad"].head(2)])
    assert findings(rare)["Emotions"].problem
    alike = findings(clips[clips["emotion"] == "sad"])["Emotions"]
    assert alike.problem and alike.sentence.startswith("All clips are sad")


def test_labels_that_the_recording_gives_away_are_warned_about(clips):
    told = findings(clips.assign(noise_dbfs=clips["emotion"].astype(str).map(len) * 7.0))
    assert told["Without listening"].problem
    rng = np.random.default_rng(0)
    blind = {
        column: rng.normal(-30, 1, len(clips))
        for column in ("seconds", "level_dbfs", "noise_dbfs", "bandwidth_hz")
    }
    assert not findings(clips.assign(**blind))["Without listening"].problem


def test_clipped_silent_and_noisy_clips_are_counted(tmp_path, clips):
    rng = np.random.default_rng(0)
    rate = 16_000
    t = np.arange(2 * rate) / rate
    voice = np.sin(2 * np.pi * 200 * t)
    for i in range(10):
        kind = {
            0: np.clip(5 * voice, -1, 1),
            1: np.concatenate([0.3 * voice[:rate], np.zeros(6 * rate)]),
            2: 0.1 * rng.normal(size=2 * rate),
        }.get(i, 0.3 * voice * (t < 1.7))
        folder = tmp_path / ("sad" if i % 2 else "angry")
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"{i}.wav", kind, rate)
    found = findings(inspect_corpus(tmp_path, n_jobs=1).clips)
    assert found["Clipping"].sentence.startswith("1 of 10")
    assert found["Silence"].sentence.startswith("1 of 10")
    assert found["Noise"].sentence.startswith("In 2 of 10")


def test_what_a_microphone_leaves_is_measured():
    rng = np.random.default_rng(0)
    narrow = np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32)
    wide = rng.normal(0, 0.1, 32_000).astype(np.float32)
    assert measure_signal(narrow).bandwidth_hz == pytest.approx(440, abs=2)
    assert measure_signal(wide).bandwidth_hz > 7800
    assert measure_signal(wide).noise_dbfs == pytest.approx(-20, abs=1)
    assert measure_signal(np.zeros(1600, np.float32)).noise_dbfs == -120


def test_one_recording_encoded_again_is_a_near_duplicate(tmp_path, samples, clips):
    assert findings(clips)["Near duplicates"].sentence == "None."
    for clip in sorted(samples.rglob("*-25.flac"))[:6]:
        sound, rate = soundfile.read(clip, dtype="float32")
        soundfile.write(tmp_path / clip.name, sound, rate)
    first = tmp_path / "03-01-01-01-01-01-25.flac"
    louder = tmp_path / "03-01-01-01-01-02-25.flac"
    sound, rate = soundfile.read(first, dtype="float32")
    soundfile.write(louder, 1.5 * sound[::2], rate // 2)
    found = inspect_corpus(tmp_path, n_jobs=1).clips
    assert len(found) == 7
    (pair,) = near_duplicates(found)[["path", "twin"]].to_numpy().tolist()
    assert set(pair) == {str(first), str(louder)}
    finding = findings(found)["Near duplicates"]
    assert finding.problem and first.name in finding.sentence
