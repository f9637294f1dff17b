import base64
import io
import zipfile
from functools import partial

import numpy as np
import pytest

from ser import assets
from ser.app import learned, workspace
from ser.app.widgets import hands_free, own_classes
from ser.audio import load_audio
from ser.data.recordings import SENTENCES, Voice
from ser.errors import DataError
from ser.labels import EMOTIONS
from ser.models.recognizer import Recognizer
from ser.models.streaming import PhraseRecorder
from tests.tiny import SAMPLES

CLIPS = sorted(SAMPLES.rglob("*-27.flac"))  # one voice, thirty clips


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return Voice(tmp_path / "home" / "voices" / "me")


@pytest.fixture
def open_part(mine, visit):
    """Open a part of the page as somebody who has agreed to keep recordings.

    Recording needs a browser: AppTest cannot run the microphone.
    """

    def open_part(part, *, agreed=True):
        app = visit("pages/5_Your_voice.py")
        app.session_state["voice-consent"] = agreed
        app.session_state["voice part"] = part
        app.run()
        assert not app.exception
        return app

    return open_part


def button(app, label):
    (found,) = (button for button in app.button if button.label == label)
    return found


def said(app, kind):
    return " ".join(element.value for element in getattr(app, kind))


def fill(voice, each):
    for clip in CLIPS:
        emotion = EMOTIONS[int(clip.name.split("-")[2]) - 1]
        if (voice.recordings()["emotion"] == emotion).sum() < each:
            voice.add(clip, emotion, SENTENCES[0])


def test_nothing_is_kept_without_consent(open_part, mine):
    app = open_part("Import", agreed=False)
    assert "until you agree" in said(app, "info")
    assert not app.segmented_control
    assert not mine.folder.exists()


def test_choosing_who_speaks_leaves_the_page_where_it_is(open_part, mine):
    Voice(mine.folder.parent / "ann").add(CLIPS[0], "calm", SENTENCES[0])
    app = open_part("Import")
    who = app.selectbox[0].proto.id
    app.selectbox[0].select("ann").run()
    app.run()  # "me", who has no recording, is no choice any more
    assert "1 recording kept" in said(app, "caption")
    # A new widget would stand above the old one for a moment, and what is clicked would move.
    assert app.selectbox[0].proto.id == who


def test_good_files_become_takes_and_bad_ones_say_why(open_part, mine):
    app = open_part("Import")
    (emotion,) = (box for box in app.selectbox if box.label.startswith("The emotion of"))
    emotion.select("angry")
    uploads = [(clip.name, clip.read_bytes(), "audio/flac") for clip in CLIPS[:2]]
    uploads.insert(1, ("notes.wav", b"no audio at all", "audio/wav"))
    app.file_uploader[0].set_value(uploads).run()
    button(app, "Import").click().run()
    assert not app.exception
    assert "2 clips imported" in said(app, "success")
    assert "2 recordings kept" in said(app, "caption")
    (refused,) = (frame.value for frame in app.dataframe)
    assert refused["path"].tolist() == ["notes.wav"]
    assert "not audio this program can decode" in refused["reason"].iloc[0]
    assert mine.recordings()["emotion"].tolist() == ["angry", "angry"]
    assert mine.recordings()["statement"].tolist() == [clip.name for clip in CLIPS[:2]]


def test_files_without_an_emotion_are_not_guessed(open_part, mine):
    app = open_part("Import")
    app.file_uploader[0].upload(CLIPS[0].name, CLIPS[0].read_bytes(), "audio/flac").run()
    button(app, "Import").click().run()
    assert "No clip was imported" in said(app, "warning")
    assert "choose its emotion first" in app.dataframe[0].value["reason"].iloc[0]
    assert mine.recordings().empty


@pytest.mark.parametrize("typed", ["/nowhere/at/all", "~nobody-of-this-name/x"])
def test_a_folder_that_is_none_gets_a_sentence(open_part, typed):
    app = open_part("Import")
    (place,) = (box for box in app.text_input if box.label.startswith("Or a folder"))
    place.set_value(typed).run()
    button(app, "Import").click().run()
    assert not app.exception
    assert "does not exist" in app.dataframe[0].value["reason"].iloc[0]


def test_recordings_are_listed_ten_at_a_time_newest_first_with_their_sound(open_part, mine):
    fill(mine, 2)
    kept = mine.recordings()["path"].tolist()[::-1]
    assert len(kept) == 16
    app = open_part("Recordings")
    (shown,) = (frame.value for frame in app.dataframe if "sound" in frame.value)
    assert shown["path"].tolist() == kept[:10]
    for name, sound in zip(shown["path"], shown["sound"], strict=True):
        kind, _, data = sound.partition(",")
        assert kind == "data:audio/wav;base64"
        assert base64.b64decode(data) == (mine.folder / name).read_bytes()
    app.session_state["recordings"] = 2
    app.run()
    (shown,) = (frame.value for frame in app.dataframe if "sound" in frame.value)
    assert shown["path"].tolist() == kept[10:]
    for name in kept[:6]:  # the second page is gone
        mine.remove(name)
    app.run()
    assert not app.exception
    (shown,) = (frame.value for frame in app.dataframe if "sound" in frame.value)
    assert shown["path"].tolist() == kept[6:]
    button(app, "Delete all 10 recordings").click().run()
    assert not app.exception
    assert "No recording is kept yet" in said(app, "info")
    assert not mine.folder.exists()


def test_one_emotion_is_not_learned(open_part, mine):
    mine.add(CLIPS[0], "angry", SENTENCES[0])
    app = open_part("Learn")
    assert "least two emotions" in said(app, "info")
    assert not any(button.label == "Learn my voice" for button in app.button)


def test_a_copy_learns_and_answers_in_the_app_until_it_is_sent_back(open_part, mine):
    fill(mine, 2)
    app = open_part("Learn")
    button(app, "Learn my voice").click().run()
    assert not app.exception and not app.error
    assert {metric.label for metric in app.metric} == {
        "Accuracy before learning",
        "Accuracy after learning",
    }
    assert any("my-voice" in each.label and "→" in each.label for each in app.expander)
    button(app, "Make it the active model").click().run()
    assert workspace.active_model() == workspace.folder() / "my-voice"
    button(app, "Back to everyday").click().run()
    assert workspace.active_model() == assets.DEFAULT_MODEL


@pytest.mark.parametrize("name", ["../escape", "a b", ""])
def test_a_copy_of_an_impossible_name_is_refused(open_part, mine, name):
    fill(mine, 1)
    app = open_part("Learn")
    (box,) = (box for box in app.text_input if box.label == "Name of the copy")
    box.set_value(name).run()
    button(app, "Learn my voice").click().run()
    assert not app.exception
    assert "cannot be a name" in said(app, "error")
    assert not workspace.folder().exists() or not list(workspace.folder().glob("*/manifest.json"))


def test_a_learned_model_is_renamed_and_deleted(open_part, mine):
    fill(mine, 1)
    app = open_part("Learn")
    button(app, "Learn my voice").click().run()
    button(app, "Make it the active model").click().run()
    app.text_input(key="name-my-voice").set_value("../elsewhere").run()
    button(app, "Rename").click().run()
    assert "cannot be a name" in said(app, "error")
    app.text_input(key="name-my-voice").set_value("other").run()
    button(app, "Rename").click().run()
    assert not app.exception
    assert learned.models() == [workspace.folder() / "other"] == [workspace.active_model()]
    with zipfile.ZipFile(io.BytesIO(learned.packed(workspace.folder() / "other"))) as packed:
        assert {"other/model.keras", "other/manifest.json", "other/USE.txt"} <= set(
            packed.namelist()
        )
    with pytest.raises(DataError, match="in use already"):  # its report would stay behind
        learned.folder_of("other", classes=True)
    button(app, "Delete this model").click().run()
    assert not app.exception
    assert not learned.models() and workspace.active_model() == assets.DEFAULT_MODEL
    assert len(mine.recordings()) == 8, "the recordings stay"


def test_recordings_are_no_model_that_could_be_replaced(open_part, mine):
    fill(mine, 1)
    app = open_part("Learn")
    (box,) = (box for box in app.text_input if box.label == "Name of the copy")
    box.set_value("voices").run()
    button(app, "Learn my voice").click().run()
    assert not app.exception
    assert "in use already" in said(app, "error")
    assert len(mine.recordings()) == 8


def test_everybody_has_recordings_of_their_own(open_part, mine):
    fill(mine, 1)
    (mine.folder.parent / "anna").mkdir()
    app = open_part("Recordings")
    app.selectbox[0].select("anna").run()
    assert "No recording is kept yet" in said(app, "info")
    assert len(mine.recordings()) == 8


def test_what_is_kept_is_not_asked_about_again_if_another_is_refused(visit, mine):
    mine.add(CLIPS[1], "sad", SENTENCES[0])
    said_now = zip(("happy", "angry", "fearful"), CLIPS[:3], strict=True)
    takes = [hands_free.Take(e, SENTENCES[0], clip.read_bytes(), ()) for e, clip in said_now]
    app = visit("pages/5_Your_voice.py")
    app.session_state["voice-consent"] = True
    app.session_state["hands-free me"] = hands_free.Session(takes)
    app.session_state["emotions"] = ["happy", "angry", "fearful"]
    app.session_state["wanted"] = 1
    app.run()
    button(app, "Keep 3 recordings").click().run()
    assert not app.exception
    assert "already there" in said(app, "error")
    assert sorted(mine.recordings()["emotion"]) == ["happy", "sad"]
    left = [take.emotion for take in app.session_state["hands-free me"].takes]
    assert left == ["angry", "fearful"]


def test_what_one_person_said_is_not_kept_as_anothers(visit, mine):
    takes = [hands_free.Take(e, SENTENCES[0], CLIPS[0].read_bytes(), ()) for e in EMOTIONS[:3]]
    (mine.folder.parent / "bob").mkdir(parents=True)
    app = visit("pages/5_Your_voice.py")
    app.session_state["voice-consent"] = True
    app.session_state["hands-free me"] = hands_free.Session(takes)
    app.session_state["emotions"] = EMOTIONS[:3]
    app.session_state["wanted"] = 1
    app.run()
    assert button(app, "Keep 3 recordings")
    app.session_state["who"] = "bob"
    app.session_state["voice part"] = "Recordings"  # AppTest cannot run the microphone
    app.run()
    assert not app.exception
    assert not [each for each in app.button if each.label.startswith("Keep")]
    app.session_state["who"] = "me"
    app.session_state["voice part"] = "Record"
    app.run()
    assert button(app, "Keep 3 recordings")


def test_an_example_that_cannot_be_used_keeps_no_other_out(open_part):
    for label in ("low", "high"):
        (workspace.folder() / "classes" / "my-classes" / label).mkdir(parents=True)
    app = open_part("Own classes")
    files = [(clip.name, clip.read_bytes(), "audio/flac") for clip in CLIPS[:2]]
    files.insert(1, ("notes.wav", b"no audio at all", "audio/wav"))
    app.file_uploader[0].set_value(files).run()
    assert "notes.wav: The recording is not audio" in said(app, "error")
    assert len(list((workspace.folder() / "classes" / "my-classes" / "high").iterdir())) == 2
    app.run()
    assert not app.error and not app.exception


def speak(recorder, clip, until=None):
    """Say a sentence to a recorder, until so many seconds before its end."""
    sound = load_audio(clip)[None]
    recorder.push(sound if until is None else sound[:, : -round(until * 16_000)], 16_000)


@pytest.fixture
def recorder():
    recorder = PhraseRecorder()
    recorder.push(np.zeros((1, 32_000), np.float32), 16_000)
    return recorder


PAUSE = np.zeros((1, 32_000), np.float32)


def test_a_sentence_counts_for_the_prompt_at_which_it_began(recorder):
    session, emotions = hands_free.Session(), ["happy", "sad"]
    speak(recorder, CLIPS[0])
    session.prompt = hands_free.next_prompt(session, {}, emotions, 2)
    hands_free._take(recorder, session, partial(hands_free.next_prompt, session, {}, emotions, 2))
    session.skipped["happy"] += 1  # another prompt is shown when the sentence ends
    recorder.push(PAUSE, 16_000)
    hands_free._take(recorder, session, partial(hands_free.next_prompt, session, {}, emotions, 2))
    assert [take.emotion for take in session.takes] == ["happy"]
    assert session.prompt is None


def test_what_is_skipped_while_it_is_said_is_not_taken(recorder):
    session, emotions = hands_free.Session(), ["happy", "sad"]
    speak(recorder, CLIPS[0])
    session.prompt, session.unwanted = ("happy", SENTENCES[0]), True
    recorder.push(PAUSE, 16_000)
    hands_free._take(recorder, session, partial(hands_free.next_prompt, session, {}, emotions, 2))
    assert session.takes == []
    speak(recorder, CLIPS[1])
    recorder.push(PAUSE, 16_000)
    hands_free._take(recorder, session, partial(hands_free.next_prompt, session, {}, emotions, 2))
    assert len(session.takes) == 1, "the next sentence is"


def test_a_sentence_that_stop_cuts_off_is_taken(recorder):
    session = hands_free.Session()
    speak(recorder, CLIPS[0], until=0.3)
    recorder.stop()
    hands_free._take(
        recorder, session, partial(hands_free.next_prompt, session, {}, ["happy", "sad"], 2)
    )
    assert [take.emotion for take in session.takes] == ["happy"]


def test_what_is_asked_for_is_what_is_rarest():
    session, emotions = hands_free.Session(), ["happy", "sad", "angry"]
    asked = []
    while prompt := hands_free.next_prompt(session, {"sad": 1}, emotions, 2):
        asked.append(prompt)
        session.takes.append(hands_free.Take(*prompt, b"", ()))
    assert [emotion for emotion, _ in asked] == ["happy", "angry", "happy", "sad", "angry"]
    assert [sentence for _, sentence in asked[:3:2]] == list(SENTENCES)
    session.takes.pop()
    assert hands_free.next_prompt(session, {"sad": 1}, emotions, 2)[0] == "angry", "undone"


def test_classes_of_ones_own_are_learned_from_uploads(open_part):
    for label in ("low", "high"):  # AppTest cannot type a new option
        (workspace.folder() / "classes" / "my-classes" / label).mkdir(parents=True)
    app = open_part("Own classes")
    assert not app.exception and not app.error
    for label, speaker in (("low", "25"), ("high", "26")):
        app.segmented_control(key="class").set_value(label).run()
        clips = sorted(SAMPLES.rglob(f"*-{speaker}.flac"))[:4]
        app.file_uploader[0].set_value([(c.name, c.read_bytes(), "audio/flac") for c in clips])
        app.run()
        assert not app.exception and not app.error
    button(app, "Learn these classes").click().run()
    assert not app.exception and not app.error
    assert "of 8 examples were named correctly" in said(app, "markdown")
    folder = workspace.folder() / "my-classes"
    assert learned.models() == [folder]
    assert Recognizer.load(folder).labels == ("high", "low")
    button(app, "Try it live")
    app.text_input(key="name-my-classes").set_value("other").run()
    button(app, "Rename").click().run()
    assert not app.exception and learned.models() == [workspace.folder() / "other"]
    assert "named correctly" not in said(app, "markdown"), "what is shown is there no more"


def test_the_first_example_of_a_class_keeps_the_names_of_the_others(open_part):
    app = open_part("Own classes")
    app.session_state["classes my-classes"] = ["tired", "awake"]
    app.run()
    app.file_uploader[0].upload(CLIPS[0].name, CLIPS[0].read_bytes(), "audio/flac").run()
    app.run()
    assert not app.exception and not app.error
    assert app.multiselect[0].value == ["tired", "awake"]
    assert [path.name for path in (workspace.folder() / "classes/my-classes").iterdir()] == [
        "tired"
    ]


def test_examples_of_a_class_are_counted_bounded_and_deleted(open_part, monkeypatch):
    monkeypatch.setattr(own_classes, "_MOST_EXAMPLES", 2)
    folder = workspace.folder() / "classes" / "my-classes"
    for label in ("low", "high"):
        (folder / label).mkdir(parents=True)
    app = open_part("Own classes")
    files = [(c.name, c.read_bytes(), "audio/flac") for c in CLIPS[:3]]
    app.file_uploader[0].set_value(files).run()
    assert "There are 2 examples of high already." in said(app, "error")
    assert {path.name for path in (folder / "high").iterdir()} == {"0001.wav", "0002.wav"}
    app = open_part("Own classes")
    assert button(app, "Learn these classes").disabled
    button(app, "Delete all of high").click().run()
    assert not app.exception
    assert [path.name for path in folder.iterdir()] == ["low"]


def test_a_class_with_an_impossible_name_gets_a_sentence(open_part):
    for label in ("low", "verdict"):  # a column of every answer
        (workspace.folder() / "classes" / "my-classes" / label).mkdir(parents=True)
    app = open_part("Own classes")
    assert "This cannot be the name of a class" in said(app, "error")
