"""The package as others use it: by the names it offers."""

import subprocess
import sys

import numpy as np
import pytest

import ser
from ser.errors import DataError, RunError
from ser.labels import EMOTIONS
from tests.tiny import SAMPLES, tiny_config, tiny_corpus

HEAVY = ("tensorflow", "keras", "altair", "librosa", "pandas", "sklearn", "scipy", "streamlit")


def python(code):
    """Run code in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SAMPLES.parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy():
    code = f"import sys, ser; print([m for m in {HEAVY} if m in sys.modules], dir(ser))"
    loaded, offered = python(code).split("] ", 1)
    assert loaded == "["
    for name in ser.__all__:
        assert f"'{name}'" in offered


def test_every_name_is_there_and_documented():
    for name in ser.__all__:
        value = getattr(ser, name)
        assert value == EMOTIONS or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'sing'"):
        _ = ser.sing


def test_a_run_can_be_loaded_and_asked(finished_run):
    model = ser.load(finished_run.folder)
    assert isinstance(model, ser.Recognizer)
    assert isinstance(model.extractor, ser.FeatureExtractor)
    noise = np.random.default_rng(0).normal(0, 0.1, 30_000)
    row = model.predict(noise, sampling_rate=22_050).iloc[0]
    assert row["emotion"] in ser.EMOTIONS
    assert model.explain(noise, sampling_rate=22_050).emotion in ser.EMOTIONS


def test_an_adapted_model_can_be_kept_and_loaded_again(tmp_path):
    model = ser.load()
    folder = SAMPLES / "Actor_27"
    adapted = model.adapt(folder, n_jobs=1)
    labels = list(model.labels)
    clips = sorted(SAMPLES.glob("Actor_28/*.flac"))[:4]
    before, after = (m.predict_files(clips, n_jobs=1)[labels] for m in (model, adapted))
    assert np.abs(before.to_numpy() - after.to_numpy()).max() > 0.1
    adapted.save(tmp_path / "mine")
    again = ser.load(tmp_path / "mine").predict_files(clips, n_jobs=1)[labels]
    np.testing.assert_allclose(again, after, atol=1e-5)


def test_recordings_to_adapt_to_can_be_given_with_their_emotions():
    model = ser.load()
    files = sorted(SAMPLES.glob("Actor_27/*.flac"))
    given = {str(file): EMOTIONS[int(file.name[6:8]) - 1] for file in files}
    labels, clip = list(model.labels), files[0]
    by_folder = model.adapt(SAMPLES / "Actor_27", n_jobs=1).predict(clip)[labels]
    by_label = model.adapt(given, n_jobs=1).predict(clip)[labels]
    np.testing.assert_allclose(by_label, by_folder, atol=1e-5)
    with pytest.raises(DataError, match="'bored' is none of the emotions"):
        model.adapt({str(clip): "bored"})
    with pytest.raises(DataError, match=r"gone\.wav does not exist"):
        model.adapt({"gone.wav": "sad"})
    with pytest.raises(DataError, match="All recordings are sad"):
        model.adapt({str(clip): "sad"})


def test_a_recording_to_adapt_to_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "note.wav").write_text("no audio")
    with pytest.raises(DataError, match=r"note\.wav"):
        ser.load().adapt({str(tmp_path / "note.wav"): "sad", **_two_clips()}, n_jobs=1)


def _two_clips():
    return {str(file): "happy" for file in sorted(SAMPLES.rglob("*.flac"))[:2]}


def test_a_training_is_started_gone_on_with_and_reported(tmp_path):
    config = tiny_config(tiny_corpus(tmp_path / "clips"), epochs=1)
    report = ser.train(config, tmp_path / "run", n_jobs=1)
    assert isinstance(report, ser.Report)
    again = ser.evaluate(ser.load(tmp_path / "run"), tmp_path / "clips", n_jobs=1)
    assert again.accuracy == report.accuracy
    with pytest.raises(RunError, match="is finished"):
        ser.train(config, tmp_path / "run", n_jobs=1)
    with pytest.raises(RunError, match="holds another training"):
        ser.train(tiny_config(tmp_path / "clips", epochs=2), tmp_path / "run", n_jobs=1)
