"""The app as strangers meet it: nothing on the server is theirs, nothing they keep is shared."""

import os
import signal

import pytest

from ser import audio
from ser.app import access, server, workspace
from ser.app.access import Visitor
from ser.app.widgets import resources, visitor
from ser.errors import DataError, OutputError
from tests.audio.test_sandbox import child_of
from tests.tiny import SAMPLES, tiny_corpus, tiny_run  # noqa: F401

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]
FORBIDDEN = {"New training", "Start", "Open", "Download RAVDESS", "Keep", "Leave out"}


@pytest.fixture
def public(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_MODE", "public")
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    audio.use_decoder(None)
    resources.decode_apart.clear()
    os.environ.pop(audio.DECODE_APART, None)


def labels(app):
    return {b.label for b in app.button} | {t.label for t in app.text_input}


@pytest.mark.parametrize("name", ["Home.py", *(f"pages/{n}" for n in (
    "1_Dataset.py", "2_Training.py", "3_Evaluation.py", "4_Prediction.py", "5_Your_voice.py",
))])  # fmt: skip
def test_no_page_offers_what_is_the_servers(page, public, name):
    app = page(name)
    assert not app.exception and not app.error
    assert not labels(app) & FORBIDDEN
    assert not {label for label in labels(app) if "older" in label}, "no folder can be typed"
    assert not public.exists(), "nothing is kept where others could find it"
    assert "deleted when you leave" in app.main.markdown[0].value


def test_training_says_where_it_can_be_done(page, public):
    app = page("pages/2_Training.py")
    assert "Nobody can train on this server" in app.info[0].value


def test_no_folder_of_the_server_is_answered(page, public):
    app = page("pages/4_Prediction.py")
    assert "Folder" not in app.segmented_control[0].options
    app = page("pages/4_Prediction.py")
    app.query_params["source"] = "Folder"
    app.run()
    assert not app.exception
    assert app.segmented_control[0].value == "Upload"


def test_corpora_of_the_server_are_not_shown(page, public, monkeypatch):
    monkeypatch.setattr(workspace, "data", lambda: SAMPLES.parent)
    app = page("pages/1_Dataset.py")
    (corpus,) = (box for box in app.selectbox if box.label == "Corpus")
    assert corpus.options == ["Samples (synthetic voices)"]
    app.session_state["corpus"] = "/"
    app.run()
    assert not app.exception
    (corpus,) = (box for box in app.selectbox if box.label == "Corpus")
    assert corpus.options == ["Samples (synthetic voices)"]


def test_a_recording_that_breaks_the_decoder_gets_a_sentence(page, public):
    app = page("pages/4_Prediction.py")
    app.file_uploader[0].set_value(("a.flac", CLIP.read_bytes(), "audio/flac")).run()
    assert not app.error and app.subheader
    os.kill(child_of(resources.decode_apart()), signal.SIGSEGV)
    other = sorted(SAMPLES.rglob("*.flac"))[1]
    app.file_uploader[0].set_value(("b.flac", other.read_bytes(), "audio/flac")).run()
    assert not app.exception
    assert "breaks the decoder" in app.error[0].value


def test_without_a_visitor_nothing_is_kept(public):
    access.give_visitor(lambda: None)
    with pytest.raises(OutputError, match="for its visitors only"):
        workspace.folder()


def test_a_slip_in_the_mode_opens_nothing(monkeypatch):
    monkeypatch.setenv("SER_MODE", "Public")
    with pytest.raises(DataError, match="'Public'"):
        workspace.folder()
    with pytest.raises(DataError, match="'Public'"):
        server.serve()


def test_a_stranger_has_so_many_recordings_answered_in_a_minute(page, public, monkeypatch):
    monkeypatch.setattr(visitor, "PER_MINUTE", 2)
    app = page("pages/4_Prediction.py")
    clips = [(f"{n}.flac", CLIP.read_bytes(), "audio/flac") for n in range(3)]
    app.file_uploader[0].set_value(clips).run()
    assert "2 recordings a minute are analysed" in app.error[0].value
    app.file_uploader[0].set_value(clips[:1]).run()
    assert not app.error and not app.exception
    app.run()
    assert not app.error, "what was answered is shown again without being counted"


def test_a_stranger_can_keep_so_much_and_no_more(public, monkeypatch):
    monkeypatch.setattr(visitor, "MOST_BYTES", 0)
    access.give_visitor(lambda: Visitor(CLIP.parent))
    with pytest.raises(DataError, match="can keep 0 MB"):
        visitor.check_space()
    monkeypatch.setattr(visitor, "MOST_BYTES", 10**9)
    visitor.check_space()


def test_one_stranger_at_a_time_has_a_long_recording_followed(public, monkeypatch):
    monkeypatch.setattr(visitor, "_PATIENCE", 0.01)
    with (
        visitor.one_at_a_time(),
        pytest.raises(DataError, match="Try again in a minute"),
        visitor.one_at_a_time(),
    ):
        pass
    with visitor.one_at_a_time():
        pass
