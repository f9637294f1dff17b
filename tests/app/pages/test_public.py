"""The app as strangers meet it: nothing on the server is theirs, nothing they keep is shared."""

import pytest

from ser.app import server, workspace
from ser.errors import DataError, OutputError
from tests.tiny import SAMPLES, tiny_corpus, tiny_run  # noqa: F401

FORBIDDEN = {"New training", "Start", "Open", "Download RAVDESS", "Keep", "Leave out"}


@pytest.fixture
def public(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_MODE", "public")
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


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
    assert any("deleted when you leave" in text.value for text in app.caption)


def test_training_says_where_it_can_be_done(page, public):
    app = page("pages/2_Training.py")
    assert "Nobody can train on this server" in app.info[0].value


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


def test_without_a_visitor_nothing_is_kept(public):
    workspace.give_folders(lambda: None)
    with pytest.raises(OutputError, match="for its visitors only"):
        workspace.folder()


def test_a_slip_in_the_mode_opens_nothing(monkeypatch):
    monkeypatch.setenv("SER_MODE", "Public")
    with pytest.raises(DataError, match="'Public'"):
        workspace.folder()
    with pytest.raises(DataError, match="'Public'"):
        server.serve()
