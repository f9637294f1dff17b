import shutil

import pytest

from ser import assets
from ser.app import learned, processes, workspace
from ser.errors import BundleError
from ser.training.runs import Run
from ser.utils.files import read_json, write_json


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_new_app_answers_with_the_shipped_model(home):
    assert workspace.active_model() == assets.DEFAULT_MODEL
    assert workspace.models()[0] == assets.DEFAULT_MODEL
    assert workspace.runs() == [] and workspace.recent_corpora() == []
    assert not home.exists()  # looking leaves nothing behind


def test_a_checkout_keeps_everything_in_its_own_folders(monkeypatch, home):
    assert workspace.folder() == home
    monkeypatch.delenv("SER_HOME")
    assert workspace.folder() == assets.ROOT / "runs"
    assert workspace.data() == assets.ROOT / "data"


def test_the_chosen_model_is_kept_until_it_is_gone(home, finished_run, tmp_path):
    moved = tmp_path / "moved"
    finished_run.folder.rename(moved)
    try:
        workspace.set_active_model(moved)
        assert workspace.active_model() == moved
    finally:
        moved.rename(finished_run.folder)
    assert workspace.active_model() == assets.DEFAULT_MODEL


@pytest.mark.parametrize("kind", ["run", "learned"])
def test_a_model_that_is_deleted_stays_inactive_whatever_gets_its_name(home, finished_run, kind):
    folder = workspace.folder() / "mine"
    shutil.copytree(finished_run.folder, folder)
    if kind == "learned":
        manifest = read_json(folder / "manifest.json")
        manifest["training"] = {"adapted": {}}
        write_json(folder / "manifest.json", manifest)
        (folder / "config.json").unlink()
    workspace.set_active_model(folder)
    if kind == "learned":
        learned.delete(folder)
    else:
        processes.delete(Run(folder))
    shutil.copytree(finished_run.folder, folder)
    assert workspace.active_model() == assets.DEFAULT_MODEL


def test_what_is_no_model_is_not_made_active(home, tmp_path):
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        workspace.set_active_model(tmp_path)
    assert workspace.active_model() == assets.DEFAULT_MODEL


def test_corpora_are_remembered_the_last_one_first(home, tmp_path):
    folders = [tmp_path / name for name in "abcdefghij"]
    for folder in folders:
        folder.mkdir()
        workspace.remember_corpus(folder)
    workspace.remember_corpus(folders[5])
    workspace.remember_corpus(assets.SAMPLES)
    folders[9].rmdir()
    assert [p.name for p in workspace.recent_corpora()] == list("fihgedc")


@pytest.mark.parametrize("text", ["", "[]", '{"recent": 7, "active_model": []}', "\x00"])
def test_damaged_settings_are_forgotten(home, text, tmp_path):
    home.mkdir()
    (home / "settings.json").write_text(text)
    assert workspace.active_model() == assets.DEFAULT_MODEL
    assert workspace.recent_corpora() == []
    workspace.remember_corpus(tmp_path)
    assert workspace.recent_corpora() == [tmp_path]
