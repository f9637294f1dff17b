import io
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import assets
from ser.app import answers, workspace
from ser.app.widgets import folder_answers
from ser.data.recordings import Voice
from ser.models.recognizer import Recognizer
from ser.training.runs import Run
from tests.tiny import SAMPLES, tiny_corpus

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


def wav(samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


def headline(app):
    """Return the answer as it is shown."""
    words = ("%", "Nobody speaks")
    return next((each.value for each in app.subheader if any(w in each.value for w in words)), "")


def test_it_says_what_to_do_before_anything_is_chosen(page):
    prediction = page("pages/4_Prediction.py")
    assert not prediction.exception
    assert "Choose a recording" in prediction.info[0].value


def test_a_sample_is_predicted(page):
    prediction = page("pages/4_Prediction.py")
    prediction.segmented_control[0].set_value("Sample").run()
    assert not prediction.exception and not prediction.error
    assert "%" in headline(prediction)
    labels = [expander.label for expander in prediction.expander]
    assert labels == ["Model and possible emotions", "Why", "What the model heard"]


def test_only_possible_emotions_are_answered(page):
    prediction = page("pages/4_Prediction.py")
    prediction.segmented_control[0].set_value("Sample").run()
    prediction.multiselect[0].set_value(["sad"]).run()
    assert "two or more" in prediction.error[0].value
    prediction.multiselect[0].set_value(["sad", "happy"]).run()
    assert not prediction.exception and not prediction.error
    assert any("Possible emotions: happy, sad." in each.value for each in prediction.caption)


def test_the_answer_of_another_model_is_not_that_of_the_first(page, finished_run):
    workspace.set_active_model(finished_run.folder)
    try:
        prediction = page("pages/4_Prediction.py")
        prediction.segmented_control[0].set_value("Sample").run()
        shown = headline(prediction)
    finally:
        workspace.set_active_model(assets.DEFAULT_MODEL)
    # By its label: with several models at hand the page also offers to choose one.
    name = next(box.value for box in prediction.selectbox if box.label == "Sample")
    row = Recognizer.load(finished_run.folder).predict(
        next(c for c in SAMPLES.rglob("*.flac") if c.name == name)
    )
    probability = row.iloc[0][row.iloc[0]["emotion"]]
    assert f"{probability:.0%}" in shown


@pytest.mark.parametrize("sound", ["noise", "tone"])
def test_what_is_no_speech_gets_no_emotion(page, sound):
    rng = np.random.default_rng(0)
    samples = {
        "noise": rng.normal(0, 0.1, 48_000),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000),
    }[sound]
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("noise.wav", wav(samples), "audio/wav").run()
    assert not prediction.exception and not prediction.error
    assert headline(prediction).startswith("Not sure. Closest: ")
    reasons = [element.value for element in prediction.markdown]
    assert any("unlike anything this model was trained on" in reason for reason in reasons)


def test_an_upload_is_predicted(page):
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("clip.flac", CLIP.read_bytes(), "audio/flac").run()
    assert not prediction.exception and not prediction.error
    assert "%" in headline(prediction)


def test_a_long_upload_gets_a_summary_a_timeline_and_a_table(page):
    clip, _ = soundfile.read(CLIP)
    long = wav(np.tile(clip, 3))
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("long.wav", long, "audio/wav").run()
    assert not prediction.exception and not prediction.error
    assert "Over time" in [heading.value for heading in prediction.subheader]
    (table,) = [frame.value for frame in prediction.dataframe]
    expected = Recognizer.load(assets.DEFAULT_MODEL).timeline(long)
    share = (expected["emotion"] == expected["emotion"].mode()[0]).mean()
    spoken = next(each.value for each in prediction.markdown if "somebody speaks:" in each.value)
    assert f"{share:.0%} {expected['emotion'].mode()[0]}" in spoken
    assert table["emotion"].tolist() == expected["emotion"].tolist()
    assert table["start"].tolist() == pytest.approx(expected["start"].tolist())


def test_several_uploads_become_a_table_in_which_bad_ones_say_why(page):
    prediction = page("pages/4_Prediction.py")
    clips = sorted(SAMPLES.rglob("*.flac"))[:2]
    uploads = [(clip.name, clip.read_bytes(), "audio/flac") for clip in clips]
    uploads.append(("notes.wav", b"no audio at all", "audio/wav"))
    prediction.file_uploader[0].set_value(uploads).run()
    assert not prediction.exception and not prediction.error
    table = prediction.dataframe[0].value
    assert table["file"].tolist() == [clips[0].name, clips[1].name, "notes.wav"]
    expected = Recognizer.load(assets.DEFAULT_MODEL).predict_files(clips)
    assert table["emotion"].tolist()[:2] == expected["emotion"].tolist()
    assert "not audio this program can decode" in table["reason"].iloc[2]
    assert table["verdict"].iloc[2] == "refused"
    # The first of them is looked into; the third can only say why it cannot be.
    assert "%" in headline(prediction)
    cell = {"selection": {"rows": [], "columns": [], "cells": [(2, "file")]}}
    state = prediction.session_state
    (key,) = (k for k in map(str, state._state.filtered_state) if k.startswith("files "))
    state[key] = cell
    prediction.run()
    assert not headline(prediction)
    assert "not audio this program can decode" in prediction.error[0].value
    prediction.file_uploader[0].set_value(uploads[:2]).run()
    assert not prediction.exception
    assert "%" in headline(prediction), "the row that was chosen is gone with its file"


@pytest.fixture(scope="module")
def listening():
    return Recognizer.load(assets.DEFAULT_MODEL)


def test_uploads_of_one_person_are_heard_against_each_other(page, listening):
    clips = sorted(SAMPLES.rglob("*.flac"))[:3]
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].set_value(
        [(clip.name, clip.read_bytes(), "audio/flac") for clip in clips]
    ).run()
    labels = list(listening.labels)
    apart = listening.predict_files(clips, n_jobs=1)[labels]
    np.testing.assert_allclose(prediction.dataframe[0].value[labels], apart, atol=1e-4)
    prediction.checkbox[0].check().run()
    assert not prediction.exception and not prediction.error
    together = listening.predict_files(clips, same_voice=True, n_jobs=1)[labels]
    np.testing.assert_allclose(prediction.dataframe[0].value[labels], together, atol=1e-4)
    assert np.abs((together - apart).to_numpy()).max() > 1e-3
    shown = headline(prediction)
    assert f"{together.iloc[0].max():.0%}" in shown, "the one looked into as well"


def test_recordings_get_the_model_used_to_a_voice_until_it_is_forgotten(page, listening):
    clips = sorted(SAMPLES.rglob("*.flac"))[:2]
    prediction = page("pages/4_Prediction.py")
    prediction.segmented_control[0].set_value("Record").run()
    for number, clip in enumerate(clips, 1):
        prediction.audio_input[0].set_value(("said.wav", clip.read_bytes(), "audio/wav")).run()
        assert not prediction.exception and not prediction.error
        assert f"{number} of 10" in prediction.main.get("progress")[-1].proto.text
    row = listening.knowing(listening.listen(clips[:1], n_jobs=1)).predict(clips[1]).iloc[0]
    assert f"{row[row['emotion']]:.0%}" in headline(prediction)
    prediction.button(key="forget-voice").click().run()
    assert not prediction.exception
    assert "0 of 10" in prediction.main.get("progress")[-1].proto.text
    assert prediction.button(key="forget-voice").disabled


def test_a_long_recording_of_one_person_is_heard_against_itself(page, listening):
    clips = sorted(SAMPLES.rglob("*.flac"))[:8]
    long = wav(np.concatenate([soundfile.read(clip)[0] for clip in clips]))
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].set_value(("long.wav", long, "audio/wav")).run()
    assert not prediction.exception and not prediction.error
    labels = list(listening.labels)
    used = listening.timeline(long, same_voice=True)[labels]
    np.testing.assert_allclose(prediction.dataframe[0].value[labels], used, atol=1e-4)
    prediction.toggle[0].set_value(False).run()
    plain = listening.timeline(long)[labels]
    np.testing.assert_allclose(prediction.dataframe[0].value[labels], plain, atol=1e-4)


def test_a_recording_is_awaited_with_a_word(page):
    prediction = page("pages/4_Prediction.py")
    prediction.segmented_control[0].set_value("Record").run()
    assert not prediction.exception
    assert "Press the microphone" in prediction.info[0].value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"this is no audio", "not audio this program can decode"),
        (wav(np.zeros(32_000)), "silent"),
        (wav(np.ones(160) / 2), "10 ms"),
    ],
)
def test_a_bad_upload_gets_a_sentence(page, data, words):
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("bad.wav", data, "audio/wav").run()
    assert not prediction.exception
    assert words in prediction.error[0].value
    assert not headline(prediction)


def test_a_recording_that_clips_gets_no_sure_answer(page):
    clip, _ = soundfile.read(next(SAMPLES.rglob("03-01-06-02-02-01-27.flac")))
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("fine.wav", wav(clip), "audio/wav").run()
    assert headline(prediction).startswith("Fearful, "), "sure of it as it is"
    loud = np.clip(20 * clip, -1, 1)
    prediction.file_uploader[0].set_value(("loud.wav", wav(loud), "audio/wav")).run()
    assert not prediction.exception and not prediction.error
    assert headline(prediction).startswith("Not sure. Closest: ")
    assert any("too loud and clips" in warning.value for warning in prediction.warning)


def test_a_new_voice_gets_what_helps_one_click_away(page):
    unsure = wav(np.random.default_rng(1).normal(0, 0.1, 48_000))
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("new.wav", unsure, "audio/wav").run()
    links = {link.proto.label: link.proto.page for link in prediction.main.get("page_link")}
    assert links["Teach it your voice"] == "Your_voice"
    assert links["Let it listen to you"] == "Prediction"


def test_a_correction_becomes_a_recording_once_its_speaker_agrees(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path))
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("said.flac", CLIP.read_bytes(), "audio/flac").run()
    prediction.pills[0].set_value("angry").run()
    kept = Voice(tmp_path / "voices" / "me")
    assert kept.recordings().empty, "nobody has agreed yet"
    prediction.checkbox(key="agree").check().run()
    assert not prediction.exception and not prediction.error
    assert kept.recordings()["emotion"].tolist() == ["angry"]
    assert "Kept as angry" in prediction.success[0].value
    prediction.run()
    assert len(kept.recordings()) == 1


def folder_page(page):
    prediction = page("pages/4_Prediction.py")
    return well(prediction.segmented_control[0].set_value("Folder").run())


def well(prediction):
    assert not prediction.exception and not prediction.error
    return prediction


def press(prediction, label):
    return next(button for button in prediction.button if button.label == label).click().run()


def choose_and_start(prediction, folder):
    next(box for box in prediction.selectbox if box.label == "Folder").set_value(str(folder))
    return press(prediction, "Start")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))


def test_a_folder_is_answered_in_the_background(page, home, tmp_path):
    folder = tiny_corpus(tmp_path / "calls", ("05",))
    (folder / "=cmd.wav").write_bytes(b"no audio")
    workspace.remember_corpus(folder)
    prediction = folder_page(page)
    well(choose_and_start(prediction, folder))
    (run,) = answers.find_all()
    while run.is_held():
        time.sleep(0.05)  # leaves the processor to the process
    prediction = folder_page(page)
    (done,) = [part for part in prediction.expander if "calls-by-everyday" in part.label]
    assert "16 answers, 1 clip cannot be used" in done.label
    prediction.session_state[f"answers {run.folder.name}"] = True
    counts, first, refused = [frame.value for frame in well(prediction.run()).dataframe]
    table = pd.read_csv(answers.store(run) / "predictions.csv")
    assert counts["Clips"].to_dict() == table["emotion"].value_counts().to_dict()
    assert counts["Sure"].sum() == (table["verdict"] == "sure").sum()
    assert first["file"].tolist() == [Path(file).name for file in table["file"]]
    assert refused["file"].tolist() == ["=cmd.wav"]
    well(press(prediction, "Remove them"))
    assert answers.find_all() == []


def test_a_folder_that_is_being_answered_is_shown_and_stopped(page, home):
    run = Run(workspace.answers() / "calls")
    run.create({})
    with run.locked():
        run.write_status("answering", "Listening", 1000, 4000)
        run.write_status("answering", "Listening", 4000, 4000)
        prediction = folder_page(page)
        text = prediction.main.get("progress")[-1].proto.text
        assert "Listening: 4\u202f000 of 4\u202f000 clips" in text and "per second" in text
        prediction.button(key="stop-calls").click().run()
        assert run.is_stopping
        assert "Start" not in [button.label for button in well(prediction).button], "one at a time"


def test_an_interrupted_folder_goes_on_or_is_removed(page, home, tmp_path):
    folder = tiny_corpus(tmp_path / "calls", ("05",))
    run = Run(workspace.answers() / "calls")
    config = {"model": str(assets.DEFAULT_MODEL), "emotions": [], "cluster": ""}
    run.create({**config, "data": str(tmp_path / "gone")})
    run.write_status("answering", "Listening", 1, 4)
    prediction = folder_page(page)
    said = next(words.value for words in prediction.markdown if "(interrupted)" in words.value)
    assert "ended before it was done. Nothing is done yet." in said
    press(prediction, "Resume")
    assert "does not exist" in prediction.error[0].value
    (run.folder / "config.json").write_text(json.dumps({**config, "data": str(folder)}))
    well(press(prediction, "Resume"))
    while run.is_held():
        time.sleep(0.05)
    assert run.read_status().state == "finished", run.read_status()

    other = Run(workspace.answers() / "other")
    other.create({})
    prediction = folder_page(page)
    well(press(prediction, "Remove"))
    assert [each.folder.name for each in answers.find_all()] == ["calls"]


def test_a_folder_that_holds_no_recording_is_refused(page, home, tmp_path):
    workspace.remember_corpus(tmp_path)
    prediction = choose_and_start(folder_page(page), tmp_path)
    assert "holds no audio file" in prediction.error[0].value
    assert answers.find_all() == []


def test_a_table_to_take_along_is_as_it_was_written_but_for_formulas(tmp_path):
    file = tmp_path / "refused.csv"
    file.write_text("file,distance\n/a b.wav,0.25000\n=1+1,-1.50000\n=2+2,\n")
    expected = "file,distance\n/a b.wav,0.25000\n'=1+1,-1.50000\n'=2+2,\n"
    assert folder_answers._harmless(file) == expected


def test_a_folder_of_which_nothing_can_be_used_says_why(page, home, tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "notes.wav").write_bytes(b"no audio")
    run = answers.start(assets.DEFAULT_MODEL, folder)
    while run.is_held():
        time.sleep(0.05)  # leaves the processor to the process
    prediction = folder_page(page)
    (done,) = [part for part in prediction.expander if "calls-by-everyday" in part.label]
    assert "0 answers, 1 clip cannot be used" in done.label
    prediction.session_state["answers calls-by-everyday"] = True
    (refused,) = [frame.value for frame in well(prediction.run()).dataframe]
    assert "not audio this program can decode" in refused["reason"].iloc[0]
